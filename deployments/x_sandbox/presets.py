"""The faults that a person switches on and off by one click."""

from dataclasses import dataclass, field
from typing import Any

from deployments.x_sandbox.faults import Faults, Rule


@dataclass(frozen=True, slots=True)
class Preset:
    """A fault with a name and a sentence for people."""

    label: str
    meaning: str
    rule: Rule = field(repr=False)

    def active(self, faults: Faults) -> list[int]:
        """Numbers of the active rules that are this one."""
        return [number for number, rule in faults.rules.items() if _same(rule) == _same(self.rule)]


def _same(rule: Rule) -> dict[str, Any]:
    return rule.model_dump(exclude={"id"})


CREATE = "POST /2/tweets"
PRESETS = {
    "unavailable": Preset("Out of order", "503 to everything, nothing is accepted", Rule(fault="error")),
    "lost": Preset(
        "Lost answers", "posts are accepted and nobody hears of it", Rule(fault="drop", when="after", endpoint=CREATE)
    ),
    "half": Preset(
        "Half answers", "what is accepted is answered with broken JSON", Rule(fault="truncate", when="after")
    ),
    "slow": Preset("Slow", "every request takes 3 seconds", Rule(fault="delay", milliseconds=3_000)),
    "flaky": Preset("Flaky line", "every fifth connection is reset", Rule(fault="reset", probability=0.2)),
    "frozen": Preset("Frozen", "nothing of X answers, the consent page neither", Rule(fault="freeze")),
    "throttled": Preset(
        "Too many requests",
        "429 to everything; the headers say 15 minutes",
        Rule(fault="problem", problem="too-many-requests", reset_seconds=900),
    ),
    "depleted": Preset("Credits used up", "402 to everything", Rule(fault="problem", problem="credits-depleted")),
    "capped": Preset("Month used up", "429 that no window ends", Rule(fault="problem", problem="usage-capped")),
    "forbidden": Preset(
        "Posting forbidden", "403 to every post", Rule(fault="problem", problem="forbidden", endpoint=CREATE)
    ),
    "blocked": Preset(
        "Blocked in front", "403 as a web page instead of JSON", Rule.model_validate({"fault": "html", "status": 403})
    ),
}
