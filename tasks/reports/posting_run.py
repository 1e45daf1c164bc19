"""What a posting run did, as the Markdown of its page; text from outside is made harmless."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import quantiles

# Whatever Markdown or HTML could take for more than text.
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|<>~&-])")
REASON_CHARACTERS_MAX = 200
REASONS_MAX = 20


@dataclass(frozen=True)
class Done:
    """One post of the run: where it ended, why, how late its first byte left in seconds, and what X bills for it."""

    status: str
    reason: str | None
    lateness_seconds: float | None
    usd: Decimal = Decimal(0)


def summary(done: Sequence[Done]) -> str:
    """Counts by status and by reason, and the lateness."""
    counted = Counter(one.status for one in done)
    lines = [
        "| status | posts |",
        "|---|---:|",
        *(f"| {status} | {number} |" for status, number in counted.most_common()),
    ]
    lines += ["", f"**Lateness** (first byte after the planned instant): {_lateness(done)}"]
    lines += ["", f"**Cost** on X, what is unknown included: ${sum((one.usd for one in done), Decimal(0)):.3f}"]
    reasons = Counter((one.status, one.reason) for one in done if one.reason and one.status != "published")
    if reasons:
        lines += ["", "| not published | because | posts |", "|---|---|---:|"]
        lines += [
            f"| {status} | {escaped(why)} | {number} |" for (status, why), number in reasons.most_common(REASONS_MAX)
        ]
    return "\n".join(lines) + "\n"


def escaped(text: str | None) -> str:
    """Text that Markdown shows as it is, in one line."""
    plain = " ".join((text or "").split())
    short = plain if len(plain) <= REASON_CHARACTERS_MAX else f"{plain[: REASON_CHARACTERS_MAX - 1]}…"
    return _MARKUP.sub(r"\\\1", short).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")


def _lateness(done: Sequence[Done]) -> str:
    late = sorted(one.lateness_seconds for one in done if one.lateness_seconds is not None)
    if not late:
        return "nothing was sent"
    cuts = quantiles(late, n=100, method="inclusive") if len(late) > 1 else late * 99
    return f"p50 {_ms(cuts[49])}, p99 {_ms(cuts[98])}, most {_ms(late[-1])}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
