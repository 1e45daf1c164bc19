"""The whole stack while its parts are killed by chance: Postgres, the vault, Prefect's server, worker and runs."""

import random
import time
from collections import Counter
from signal import SIGKILL

import pytest

from deployments.local.processes import Process
from tests.posting_stack import Post, PostingStack
from tests.running_stack import eventually

POSTS, SPAN_SECONDS, BEGIN_SECONDS = 600, 240.0, 10.0
PAUSE_SECONDS = (4.0, 15.0)
PARTS = ("postgres", "openbao", "prefect", "worker", "run")
# After the last post fell due: for parts to come back, for what is in doubt, and for late posts to get their turns.
SETTLING_SECONDS = 420.0


def victims(stack: PostingStack, part: str, chance: random.Random) -> list[Process]:
    """The processes of a part that live now; of the runs one."""
    match part:
        case "run":
            runs = stack.run_processes()
            return [chance.choice(runs)] if runs else []
        case "postgres":
            return stack.database_processes()
    found = stack.running.note().parts[part].process
    return [found] if found and found.alive else []


def is_back(stack: PostingStack, part: str) -> bool:
    """Whether a part is up and lives."""
    noted = stack.running.note().parts[part]
    return noted.state == "up" and noted.process is not None and noted.process.alive


def havoc(stack: PostingStack, chance: random.Random, until_ticks: float) -> Counter[str]:
    """Kill one thing after the other, each once the one before is back; answers how often what."""
    done: Counter[str] = Counter()
    while time.monotonic() < until_ticks:
        time.sleep(chance.uniform(*PAUSE_SECONDS))
        part = chance.choice(PARTS)
        hit = victims(stack, part, chance)
        for victim in hit:
            victim.send(SIGKILL)
        done[part] += bool(hit)
        if part == "postgres":
            stack.forget_connection()
        if part != "run":
            eventually(lambda part=part: is_back(stack, part), 120)  # type: ignore[misc]
    return done


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.promise("P1")
def test_no_post_is_lost_or_double_while_every_part_of_the_stack_is_killed_by_chance(
    stack: PostingStack, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = pytestconfig.getoption("--seed")
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    with capsys.disabled():
        print(
            f"\nsoak: {POSTS} posts of {len(stack.bots)} bots in {SPAN_SECONDS:g} s, parts of the stack killed, "
            f"seed {seed}"
        )
    stack.standing_by()
    stack.x("POST", "/settings", {"latency_ms": [0, 200]})
    posts: list[Post] = stack.schedule(POSTS, BEGIN_SECONDS, SPAN_SECONDS / POSTS)
    done = havoc(stack, random.Random(seed), time.monotonic() + BEGIN_SECONDS + SPAN_SECONDS)  # noqa: S311  # repeatable
    stack.running.up()
    stack.until_ended(posts, SETTLING_SECONDS)
    accepted, rows = stack.accepted(posts), {str(row["id"]): row["status"] for row in stack.posts(posts)}
    statuses = Counter(rows.values())
    doubles = [post_id for post_id, entries in accepted.items() if len(entries) > 1]
    lost = [post_id for post_id, status in rows.items() if (status == "published") != bool(accepted[post_id])]
    with capsys.disabled():
        print(f"  killed: {dict(done)}")
        print(f"  posts: {dict(statuses)}; lost {len(lost)}, double {len(doubles)}, held {statuses['held']}")
    assert (lost, doubles, statuses["held"]) == ([], [], 0)
    assert statuses["published"] > POSTS / 2
    assert set(statuses) <= {"published", "expired"}
