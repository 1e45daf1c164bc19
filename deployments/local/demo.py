"""`make demo`: the main job from end to end on the X sandbox, with the stack left up to be looked at."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from config import loading, yaml_file
from config.places import NotStartedError, Places
from deployments.cli import bot_files
from deployments.cli.client import Api, api, wait_for_run
from deployments.cli.failures import CommandError
from deployments.gateway import first_sign_in
from deployments.local import programs, stack
from tasks.domain.budget import Prices, cost_usd

TEXTS = Path(__file__).with_name("demo_texts.yaml")
FIRST_IN_SECONDS = 3.0
SPREAD_SECONDS = 20.0
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.25
ENDED = {"published", "refused", "unknown", "expired", "cancelled", "held"}


@dataclass(frozen=True)
class Plan:
    """A bot and what it is to say."""

    bot: str
    text: str
    due_at: datetime


def main() -> int:
    """Run the demo; 0 only if what X accepted and what we wrote down agree."""
    console = Console()
    began, began_at = time.monotonic(), datetime.now(UTC)
    try:
        if not Places(loading.settings()).x_is_sandbox:
            raise CommandError("the demo posts to the X sandbox only: unset x.base_url (VIVESPHERE_X__BASE_URL)")
        console.rule("starting the stack")
        places = stack.up(lambda line: console.print(f"[{time.monotonic() - began:5.1f} s] {line}", highlight=False))
        up_after = time.monotonic() - began
        with api() as gateway:
            console.rule("bringing ten bots in")
            _bring_in(gateway, places, console)
            console.rule("posting")
            plans = _plans(places)
            posts = _schedule(gateway, plans)
            done = _watch(gateway, posts, console)
        agrees = _close(console, places, done, _accepted(places, done))
        first_bytes = [datetime.fromisoformat(post["first_byte_at"]) for post in done if post["first_byte_at"]]
        if first_bytes:
            first_after = (min(first_bytes) - began_at).total_seconds()
            console.print(f"\nStack up after {up_after:.1f} s, first post out after {first_after:.1f} s. It stays up:")
        _tell_where(console, places)
        return 0 if agrees else 1
    except KeyboardInterrupt:
        console.print("\nstopped by you; the stack goes on. `make demo` takes it up again, `make down` ends it.")
        return 130
    except (CommandError, stack.StackFailedError, NotStartedError, loading.SettingsError) as error:
        console.print(Text(f"the demo ends here: {error}"), style="red")
        return 1


def _bring_in(gateway: Api, places: Places, console: Console) -> None:
    wanted = [bot.model_dump(mode="json") for bot in bot_files.read(places.bots_folder)]
    changes = Counter(change["change"] for change in gateway.post("/bots/import", wanted))
    console.print("bots: " + ", ".join(f"{number} {change}" for change, number in changes.items()))
    handles = [bot["handle"] for bot in gateway.get("/bots", state="needs_login")]
    if handles:
        started = gateway.post("/runs", {"deployment": "onboard-bots/on-demand", "arguments": {"handles": handles}})
        with console.status(f"connecting {len(handles)} accounts by OAuth 2 with PKCE"):
            wait_for_run(gateway, started["flow_run_id"])
    states = Counter(bot["state"] for bot in gateway.get("/bots"))
    console.print("accounts: " + ", ".join(f"{number} {state}" for state, number in states.items()))
    if states["active"] < len(wanted):
        raise CommandError(f"not every account is connected; the run's log says why: {places.prefect_pages}")


def _plans(places: Places) -> list[Plan]:
    texts: Mapping[str, Sequence[str]] = yaml_file.read(TEXTS).data
    zones = {bot.handle: ZoneInfo(bot.time_zone) for bot in bot_files.read(places.bots_folder)}
    begin = datetime.now(UTC) + timedelta(seconds=FIRST_IN_SECONDS)
    said = [(bot, text) for place in range(3) for bot, spoken in texts.items() for text in spoken[place : place + 1]]
    step = SPREAD_SECONDS / len(said)
    return [
        Plan(bot, _filled(text, begin + timedelta(seconds=step * at), zones[bot]), begin + timedelta(seconds=step * at))
        for at, (bot, text) in enumerate(said)
    ]


def _filled(text: str, due_at: datetime, zone: ZoneInfo) -> str:
    there = due_at.astimezone(zone)
    return text.format(time=there.strftime("%H:%M:%S"), day=there.strftime("%d %B"))


def _schedule(gateway: Api, plans: Sequence[Plan]) -> list[str]:
    drafts = [{"bot": plan.bot, "text": plan.text, "due_at": plan.due_at.isoformat()} for plan in plans]
    receipts = gateway.post("/posts", drafts, source="demo")
    refused = [receipt for receipt in receipts if receipt["result"] != "scheduled"]
    if refused:
        raise CommandError(f"{len(refused)} posts were not scheduled, the first because of {refused[0]['reasons']}")
    return [receipt["post_id"] for receipt in receipts]


def _watch(gateway: Api, wanted: Sequence[str], console: Console) -> list[dict[str, Any]]:
    """Show how the posts move until each has ended."""
    ours = set(wanted)
    end = time.monotonic() + WAIT_SECONDS
    with Live(console=console, refresh_per_second=8) as live:
        while True:
            rows = _found(gateway, ours)
            counted = Counter(post["status"] for post in rows)
            live.update(_board(counted, len(ours)))
            if sum(counted[status] for status in ENDED) == len(ours) or time.monotonic() > end:
                break
            time.sleep(POLL_SECONDS)
    console.print()
    return [_with_first_byte(gateway, post) for post in sorted(rows, key=lambda post: str(post["due_at"]))]


def _found(gateway: Api, ours: Set[str]) -> list[dict[str, Any]]:
    """Our posts; others may stand before and between them."""
    rows: list[dict[str, Any]] = []
    cursor = None
    while len(rows) < len(ours):
        page = gateway.get("/posts", cursor=cursor, limit=200)
        rows += [post for post in page["posts"] if post["id"] in ours]
        cursor = page["next"]
        if cursor is None:
            break
    return rows


def _with_first_byte(gateway: Api, post: dict[str, Any]) -> dict[str, Any]:
    tries = gateway.get(f"/posts/{post['id']}")["tries"]
    return {**post, "first_byte_at": tries[-1]["first_byte_at"] if tries else None}


def _board(counted: Mapping[str, int], total: int) -> Table:
    board = Table.grid(padding=(0, 2))
    width = 40
    for status, colour in (("scheduled", "blue"), ("claimed", "cyan"), ("sending", "yellow"), ("published", "green")):
        number = counted.get(status, 0)
        bar = "█" * round(width * number / total)
        board.add_row(status, Text(bar.ljust(width, "·"), style=colour), f"{number}/{total}")
    for status in sorted(set(counted) - {"scheduled", "claimed", "sending", "published"}):
        board.add_row(status, Text("█" * counted[status], style="red"), f"{counted[status]}/{total}")
    return board


@contextmanager
def _sandbox(places: Places) -> Iterator[httpx.Client]:
    token = programs.sandbox_token_file(places).read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{places.x}/sandbox", headers=headers, timeout=30, trust_env=False) as client:
        yield client


def _accepted(places: Places, posts: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """How often X accepted each text of each of our accounts, by its own ledger."""
    ours = {(str(post["bot"]).lower(), str(post["text"])) for post in posts}
    found: Counter[tuple[str, str]] = Counter()
    after = 0
    with _sandbox(places) as client:
        while True:
            page = client.get("/ledger", params={"after": after, "kinds": "create"}).raise_for_status().json()
            for entry in page["entries"]:
                key = (str(entry["username"]).lower(), str(entry["text"]))
                found[key] += key in ours
            if not page["entries"]:
                return +found
            after = page["next_after"]


def _close(
    console: Console, places: Places, posts: Sequence[Mapping[str, Any]], accepted: Counter[tuple[str, str]]
) -> bool:
    """Print what became of each post; answers whether X's ledger says the same."""
    prices = Prices.model_validate(yaml_file.read(loading.APP_ROOT / "config" / "prices.yaml").data)
    table = Table(title="What went out", title_justify="left")
    for heading in ("bot", "due (UTC)", "status", "late", "cost", "text"):
        table.add_column(heading, no_wrap=heading != "text", overflow="ellipsis")
    total, lates, wrong = Decimal(0), [], 0
    for post in posts:
        published = post["status"] == "published"
        late = _late_ms(post)
        cost = cost_usd(post["text"], prices) if published else Decimal(0)
        total += cost
        if late is not None:
            lates.append(late)
        wrong += accepted[(post["bot"].lower(), post["text"])] != published
        table.add_row(
            Text(f"@{post['bot']}"),
            datetime.fromisoformat(post["due_at"]).astimezone(UTC).strftime("%H:%M:%S"),
            Text(post["status"], style="green" if published else "red"),
            "" if late is None else f"{late:.0f} ms",
            f"${cost}",
            Text(post["text"]),
        )
    console.print(table)
    spread = quantiles(lates, n=100) if len(lates) > 1 else [0.0] * 99
    statuses = Counter(post["status"] for post in posts)
    console.print(
        f"{len(posts)} posts: "
        + ", ".join(f"{number} {status}" for status, number in statuses.items())
        + f"; first byte p50 {spread[49]:.0f} ms, p99 {spread[98]:.0f} ms after its instant"
        + f"; it would have cost ${total} on X (prices of {prices.read_on})."
    )
    agrees = wrong == 0
    console.print(
        f"X's ledger accepted {accepted.total()} of them, each once: it agrees with Postgres."
        if agrees
        else f"X's ledger and Postgres disagree about {wrong} posts.",
        style="green" if agrees else "red",
    )
    return agrees and statuses["published"] == len(posts)


def _late_ms(post: Mapping[str, Any]) -> float | None:
    if not post["first_byte_at"]:
        return None
    late = datetime.fromisoformat(post["first_byte_at"]) - datetime.fromisoformat(post["due_at"])
    return late.total_seconds() * 1000


def _tell_where(console: Console, places: Places) -> None:
    where = Table.grid(padding=(0, 2))
    where.add_row("Prefect UI (runs, logs)", places.prefect_pages, "with your account")
    where.add_row("our API", f"{places.front_door}/docs", f"an API key: {_near(places.cli_key)}")
    link = first_sign_in.link_file(places)
    if link.exists():
        where.add_row("your account", f"{places.front_door}/account", f"choose its password: {_near(link)}")
    where.add_row("the X sandbox", places.x, "what the world sees")
    where.add_row("the bots", ".venv/bin/vivesphere bots list", "")
    where.add_row("their posts", ".venv/bin/vivesphere posts list", "")
    where.add_row("stop it all", "make down", "")
    console.print(where)


def _near(path: Path | None) -> str:
    """A path as a person in the project's folder would write it."""
    return str(path.relative_to(Path.cwd()) if path and path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    sys.exit(main())
