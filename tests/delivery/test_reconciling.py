"""Posts whose answer was lost: each ends as the table of reconciliation says, and X's ledger judges."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import text

from tasks.domain.posts import NextStep, Outcome
from tasks.domain.roles import system
from tasks.operations import posts as post_operations
from tasks.operations import reconciliation, uncertain
from tasks.operations.uncertain import Resolution, Resolved
from tasks.store import attempts, looks
from tasks.store.attempts import Settled
from tests.delivery.conftest import Sender
from tests.waiting import until
from tests.x_sandbox_process import Caller

pytestmark = [pytest.mark.promise("P1"), pytest.mark.promise("P2")]

# Where no test of this file lets X lag, it need not be waited for.
QUICK = {"settle_seconds": 0.5, "visible_seconds": 0.5}

CREATE = "POST /2/tweets"
TIMELINE = "GET /2/users/{id}/tweets"
LOST = {"fault": "error", "when": "before", "endpoint": CREATE, "count": 1}
TAKEN = {"fault": "drop", "when": "after", "endpoint": CREATE, "count": 1}


@pytest.fixture(autouse=True)
def quick(sender: Sender) -> None:
    """Wait for X no longer than it takes here."""
    sender.with_settings("x", **QUICK)
    sender.with_settings("reconciliation", apart_seconds=0.1)


async def in_doubt(sender: Sender, fault: dict[str, object], **given: object) -> UUID:
    """One post whose answer was lost."""
    bot = sender.bots[0] if sender.bots else (await sender.with_bots(1))[0]
    [post] = await sender.schedule(bot, **given)
    sender.x.fault(**fault)
    await sender.run(0.4)
    assert (await sender.post(post)).status == "unknown"
    return post


async def verdicts(sender: Sender, post: UUID) -> Sequence[str]:
    """What each look at it led to."""
    async with sender.at.transaction() as session:
        rows = await session.execute(
            text(
                "SELECT verdict FROM reconcile_looks JOIN publish_attempts AS attempt ON attempt.id = attempt_id"
                " WHERE attempt.post_id = :post ORDER BY looked_at"
            ),
            {"post": post},
        )
        return [row.verdict for row in rows]


async def a_look_is_due(sender: Sender) -> bool:
    """Whether it is time to look again."""
    async with sender.at.transaction() as session:
        due_in = await looks.due_in(session)
    return due_in is not None and due_in.total_seconds() <= 0


def nobody_knows_the_sender(sender: Sender) -> object:
    """As a sender of another host leaves an attempt: no word of its own, and nobody who could prove it dead."""
    return sender.sql(
        "WITH gone AS (UPDATE senders SET host = 'another-host', died_at = NULL, closed_at = NULL RETURNING 1)"
        " UPDATE publish_attempts SET settled_by = 'sweeper' WHERE ended = 'unknown'"
    )


@pytest.mark.parametrize("refusal", [False, True], ids=["duplicates taken", "duplicates refused"])
async def test_each_lost_answer_ends_as_one_post_on_x(sender: Sender, refusal: bool) -> None:
    sender.with_settings("x", settle_seconds=1, visible_seconds=2)
    sender.with_settings("reconciliation", apart_seconds=0.3)
    sender.x.settings(duplicate_refusal=refusal, visibility_lag_seconds=[0, 2])
    faults = [
        {"fault": "drop", "when": "after"},
        {"fault": "reset", "when": "after"},
        {"fault": "cut", "when": "after"},
        {"fault": "truncate", "when": "after"},
        {"fault": "error", "when": "after"},
        {"fault": "error", "when": "before"},
        {"fault": "drop", "when": "before"},
        {"fault": "html", "when": "before"},
    ]
    bots = await sender.with_bots(len(faults))
    ids = [(await sender.schedule(bot))[0] for bot in bots]
    for number, fault in enumerate(faults):
        sender.x.fault(**fault, endpoint=CREATE, count=1, account=f"bot_{number}")
    first = await sender.run(0.6)
    assert {one.status for one in first} == {"unknown"}
    reviewed = await sender.reconcile()
    await sender.run(0.6)
    rows = [await sender.post(post) for post in ids]
    assert {row.status for row in rows} == {"published"}, [(row.status, row.reason) for row in rows]
    ledger = sender.ledger()
    assert Counter(entry["text"] for entry in ledger) == Counter(row.text for row in rows)
    assert {row.x_post_id for row in rows} == {entry["x_post_id"] for entry in ledger}
    decided = Counter(one.verdict for one in reviewed if one.verdict != "wait")
    assert decided == {"published": 5, "scheduled": 3}


async def test_nothing_is_sent_again_before_everything_that_x_took_would_show(sender: Sender) -> None:
    post = await in_doubt(sender, LOST)
    await sender.reconcile(0.8)
    assert set(await verdicts(sender, post)) == {"wait"}
    assert await sender.run(0.3) == []
    await sender.reconcile()
    async with sender.at.transaction() as session:
        waited = await session.execute(
            text(
                "SELECT extract(epoch FROM max(looked_at) - min(attempt.marked_at)) FROM reconcile_looks"
                " JOIN publish_attempts AS attempt ON attempt.id = attempt_id"
            )
        )
        # Settle for the fence, settle, visible, and two reads apart.
        assert waited.scalar_one() >= 0.5 + 0.5 + 0.5 + 0.1
    assert (await verdicts(sender, post))[-1] == "scheduled"


async def test_a_post_said_by_hand_meanwhile_is_taken_for_ours_and_nothing_is_sent_again(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    post = await in_doubt(sender, LOST, text="Open from noon")
    Caller(sender.x, "bot_0").posted("Open from noon")
    await sender.reconcile()
    row = await sender.post(post)
    assert (row.status, row.reason) == ("published", "found on the timeline by its text and time")
    assert len(sender.ledger()) == 1


async def test_two_posts_that_could_be_it_are_left_to_a_person(sender: Sender) -> None:
    await sender.with_bots(1)
    sender.x.settings(duplicate_refusal=False)
    post = await in_doubt(sender, TAKEN, text="Open from noon")
    Caller(sender.x, "bot_0").posted("Open from noon")
    await sender.reconcile()
    row = await sender.post(post)
    assert (row.status, row.reason) == ("held", "2 posts on X could be it")
    assert await sender.run(0.3) == []


async def test_a_post_of_ours_that_says_the_same_is_not_taken_for_it(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    sender.x.settings(duplicate_refusal=False)
    [before] = await sender.schedule(bot, text="Open from noon")
    await sender.run(0.3)
    post = await in_doubt(sender, LOST, text="Open from noon")
    await sender.reconcile()
    await sender.run(0.4)
    first, second = await sender.post(before), await sender.post(post)
    assert (first.status, second.status) == ("published", "published")
    assert {first.x_post_id, second.x_post_id} == {entry["x_post_id"] for entry in sender.ledger()}
    assert len(sender.ledger()) == 2


@pytest.mark.parametrize(
    "hinder",
    [
        lambda sender: sender.x.fault("problem", problem="credits-depleted", endpoint=TIMELINE),
        lambda sender: sender.x.account("bot_0", suspended=True),
        lambda sender: sender.kv.secrets.clear() or sender.at._kept.clear(),
    ],
    ids=["402", "suspended", "needs_login"],
)
async def test_where_the_timeline_cannot_be_read_nothing_is_guessed(sender: Sender, hinder: object) -> None:
    post = await in_doubt(sender, LOST)
    hinder(sender)  # type: ignore[operator]
    await sender.reconcile(3)
    row = await sender.post(post)
    assert row.status == "unknown"
    assert row.reason is not None
    assert row.reason.startswith("its timeline cannot be read: ")
    assert set(await verdicts(sender, post)) == {"wait"}
    assert await sender.run(0.3) == []


@pytest.mark.parametrize("opted_in", [False, True])
async def test_with_a_spent_token_alone_a_post_is_held_unless_the_settings_let_it_go_again(
    sender: Sender, opted_in: bool
) -> None:
    post = await in_doubt(sender, LOST)
    await nobody_knows_the_sender(sender)  # type: ignore[misc]
    await sender.reconcile(1.7)
    assert (await sender.post(post)).status == "unknown"
    await sender.sql("UPDATE publish_attempts SET token_expires_at = app_now() - interval '5 minutes', look_at = NULL")
    sender.with_settings("reconciliation", resend_after_token_fence=opted_in)
    await sender.reconcile()
    await sender.run(0.4)
    assert (await sender.post(post)).status == ("published" if opted_in else "held")
    assert len(sender.ledger()) == opted_in


async def test_a_duplicate_on_a_resend_is_looked_for_and_found(sender: Sender) -> None:
    post = await in_doubt(sender, LOST)
    await sender.reconcile()
    assert (await sender.post(post)).status == "scheduled"
    # As if X had taken the first request after all, against S1.
    row = await sender.post(post)
    late = Caller(sender.x, "bot_0").posted(row.text)
    await sender.run(0.4)
    assert (await sender.post(post)).status == "unknown"
    await sender.reconcile()
    row = await sender.post(post)
    assert (row.status, row.x_post_id) == ("published", late)
    assert len(sender.ledger()) == 1


async def test_a_duplicate_on_a_resend_that_nobody_finds_is_held(sender: Sender) -> None:
    post = await in_doubt(sender, LOST)
    await sender.reconcile()
    sender.x.fault("problem", problem="duplicate", endpoint=CREATE, count=1)
    await sender.run(0.4)
    await sender.reconcile()
    row = await sender.post(post)
    assert row.status == "held"
    assert row.reason == "X says that it has this text already, and the timeline does not show it"


async def test_what_is_cancelled_in_doubt_is_never_sent_again(sender: Sender) -> None:
    post = await in_doubt(sender, LOST)
    await post_operations.cancel(sender.at, post, system("tests"))
    await sender.reconcile()
    assert (await sender.post(post)).status == "cancelled"
    assert await sender.run(0.3) == []
    assert sender.ledger() == []


async def test_what_is_cancelled_in_doubt_and_found_is_deleted_on_x(sender: Sender) -> None:
    post = await in_doubt(sender, TAKEN)
    await post_operations.cancel(sender.at, post, system("tests"))
    await sender.reconcile()
    row = await sender.post(post)
    assert row.status == "deleted"
    [gone] = sender.x.ledger("delete", after=sender.ledger_from)
    assert gone["x_post_id"] == row.x_post_id


async def settled_by_hand(sender: Sender, post: UUID, choice: str, even_so: bool = False, **more: str) -> Resolved:
    """What became of a person's word."""
    wanted = Resolution.model_validate({"post_id": post, "choice": choice, **more})
    [found] = await uncertain.resolve(sender.at, [wanted], system("tests"), "as seen on X", even_so)
    return found


async def test_a_person_says_where_a_post_is(sender: Sender) -> None:
    post = await in_doubt(sender, TAKEN)
    [entry] = sender.ledger()
    for url, said in (
        ("https://example.org/1", "is no address of a post"),
        ("https://x.com/somebody/status/1", "is a post of @somebody"),
    ):
        found = await settled_by_hand(sender, post, "published", url=url)
        assert (found.result, said in found.said) == ("refused", True)
    found = await settled_by_hand(sender, post, "published", url=f"https://x.com/bot_0/status/{entry['x_post_id']}")
    assert found.result == "resolved"
    row = await sender.post(post)
    assert (row.status, row.x_post_id) == ("published", entry["x_post_id"])
    assert await sender.reconcile() == []


async def test_a_person_sends_a_post_again_once_the_fence_has_passed_or_even_so(sender: Sender) -> None:
    sender.with_settings("x", settle_seconds=600)
    post = await in_doubt(sender, LOST)
    found = await settled_by_hand(sender, post, "requeue")
    assert found.result == "refused"
    assert found.said.startswith("X may still take the first request, until ")
    assert (await settled_by_hand(sender, post, "requeue", even_so=True)).result == "resolved"
    await sender.run(0.4)
    assert (await sender.post(post)).status == "published"
    assert len(sender.ledger()) == 1


async def test_a_held_post_goes_again_by_a_persons_word_however_late(sender: Sender) -> None:
    post = await in_doubt(sender, LOST)
    await nobody_knows_the_sender(sender)  # type: ignore[misc]
    await sender.sql("UPDATE publish_attempts SET token_expires_at = app_now() - interval '5 minutes', look_at = NULL")
    await sender.reconcile()
    assert (await sender.post(post)).status == "held"
    await sender.sql(
        "UPDATE posts SET planned_at = planned_at - interval '1 day', next_at = next_at - interval '1 day'"
    )
    assert (await settled_by_hand(sender, post, "requeue")).result == "resolved"
    await sender.run(0.4)
    assert (await sender.post(post)).status == "published"


async def test_a_discarded_post_is_never_sent_and_a_late_201_is_deleted_on_x(sender: Sender) -> None:
    post = await in_doubt(sender, TAKEN)
    [entry] = sender.ledger()
    assert (await settled_by_hand(sender, post, "discard")).result == "resolved"
    assert (await sender.post(post)).status == "cancelled"
    assert await sender.run(0.3) == []
    await late_answer(sender, post, entry["x_post_id"])
    await sender.reconcile()
    assert (await sender.post(post)).status == "deleted"


async def test_what_is_not_in_doubt_is_not_settled_by_hand(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    await sender.run(0.3)
    found = await settled_by_hand(sender, post, "requeue")
    assert (found.result, found.said) == ("refused", "there is no such post that is held or unknown")
    assert (await sender.post(post)).status == "published"


async def late_answer(sender: Sender, post: UUID, x_post_id: str) -> None:
    """What a sender writes whose answer comes after all."""
    async with sender.at.transaction() as session:
        [attempt] = [
            row.id
            for row in await session.execute(
                text("SELECT id FROM publish_attempts WHERE post_id = :post ORDER BY marked_at LIMIT 1"), {"post": post}
            )
        ]
        outcome = Outcome("accepted", x_post_id=x_post_id, http_status=201)
        await attempts.settle(session, [Settled(attempt, post, outcome, NextStep("published"))])


@pytest.mark.parametrize("decided", ["unknown", "scheduled", "held", "published by another"])
async def test_a_late_201_wins_over_whatever_was_concluded(sender: Sender, decided: str) -> None:
    await sender.with_bots(1)
    post = await in_doubt(sender, LOST, text="Open from noon")
    if decided == "held":
        await sender.sql("UPDATE posts SET status = 'held'")
    if decided == "published by another":
        Caller(sender.x, "bot_0").posted("Open from noon")
    if decided not in ("unknown", "held"):
        await sender.reconcile()
    await late_answer(sender, post, "1790000000000000000")
    row = await sender.post(post)
    assert (row.status, row.x_post_id, row.reason) == ("published", "1790000000000000000", None)
    assert await sender.run(0.3) == []


async def test_a_201_that_comes_while_the_timeline_is_read_wins(sender: Sender) -> None:
    post = await in_doubt(sender, LOST)
    await sender.sql("UPDATE publish_attempts SET ended_at = app_now() - interval '1 hour'")
    await reconciliation.look(sender.at)
    await until(lambda: a_look_is_due(sender))
    sender.x.fault("delay", milliseconds=700, endpoint=TIMELINE)
    looking = asyncio.create_task(reconciliation.look(sender.at))
    await asyncio.sleep(0.3)
    await late_answer(sender, post, "1790000000000000000")
    assert await looking == []
    row = await sender.post(post)
    assert (row.status, row.x_post_id) == ("published", "1790000000000000000")


async def test_links_references_and_escapes_are_seen_through(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    texts = [
        "Bread & cheese <today> https://example.org/menu?a=1&b=2 cafe\u0301",
        "example.org has the news",
        "Two  lines\n\nand https://example.org/ at the end https://example.com",
    ]
    ids = []
    for said in texts:
        sender.x.fault(**TAKEN)
        ids.append((await sender.schedule(bot, text=said))[0])
        await sender.run(0.4)
    await sender.reconcile()
    assert [(await sender.post(post)).status for post in ids] == ["published"] * 3
    assert len(sender.ledger()) == 3
