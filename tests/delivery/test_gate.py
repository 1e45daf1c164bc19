"""The gate where it counts: two at once, a new policy, a gate that fails, hangs or is killed. No verdict, no post."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from tasks.domain.policy import gate
from tasks.domain.policy.finding import Case
from tasks.domain.roles import Actor, Grant
from tasks.operations import content, delivery, posts, rejudging
from tasks.operations.posts import Receipt
from tasks.store import approvals, base, fingerprints
from tests.delivery.conftest import Sender
from tests.makers import a_draft
from tests.waiting import until

TEXT = "The harbour ferry of 8:05 is cancelled today because of fog."
TWIN = "The harbour ferry of 8:05 is cancelled today, because of the fog!"
WRITER = Actor("wanda", "user", frozenset({Grant("operator", None)}))


async def write(sender: Sender, bot: str, text: str, in_seconds: float = 3600, **given: object) -> Receipt:
    [receipt] = await write_all(sender, [(bot, text)], in_seconds, **given)
    return receipt


async def write_all(
    sender: Sender, said: Sequence[tuple[str, str]], in_seconds: float = 3600, **given: object
) -> list[Receipt]:
    async with sender.at.transaction() as session:
        due_at = await base.now(session) + timedelta(seconds=in_seconds)
    drafts = [a_draft(bot=bot, text=text, due_at=due_at, **given) for bot, text in said]
    return await posts.schedule(sender.at, drafts, WRITER, "api")


async def status_of(sender: Sender, *post_ids: UUID) -> list[str]:
    return [(await sender.post(post_id)).status for post_id in post_ids]


async def reason_of(sender: Sender, post_id: UUID) -> str:
    return (await sender.post(post_id)).reason or ""


@pytest.mark.promise("P6")
async def test_of_near_twins_written_at_once_exactly_one_passes(sender: Sender) -> None:
    await sender.with_bots(6)
    said = [TEXT, TWIN, TEXT.upper(), f"{TEXT} 🌫️", TEXT.replace("o", "о"), TEXT.replace("a", "a\u0301")]  # noqa: RUF001
    receipts = await asyncio.gather(*(write(sender, f"bot_{number}", one) for number, one in enumerate(said)))
    assert Counter(one.result for one in receipts) == {"scheduled": 1, "refused": 5}
    assert all(one.reasons[0].startswith("near-duplicate: ") for one in receipts if one.result == "refused")


async def test_near_twins_in_one_batch_and_later_ones_meet_the_first(sender: Sender) -> None:
    await sender.with_bots(3)
    batch = await write_all(sender, [("bot_0", TEXT), ("bot_1", TWIN), ("bot_1", "Something else, at last.")])
    assert [one.result for one in batch] == ["scheduled", "refused", "scheduled"]
    later = await write(sender, "bot_2", TWIN)
    assert later.reasons[0].startswith("near-duplicate: ")
    assert "@bot_0" in later.reasons[0]
    # What does not go out stands in nobody's way.
    await posts.cancel(sender.at, batch[0].post_id or UUID(int=0), WRITER)
    assert (await write(sender, "bot_2", TWIN)).result == "scheduled"


async def test_a_bot_says_the_very_same_once_a_day_and_its_own_frame_as_often_as_it_likes(sender: Sender) -> None:
    await sender.with_bots(1)
    first = await write(sender, "bot_0", TEXT)
    again = await write(sender, "bot_0", TEXT, 7200)
    next_day = await write(sender, "bot_0", TEXT, 25 * 3600 + 3600)
    other_facts = await write(sender, "bot_0", TEXT.replace("8:05", "9:15"))
    assert [one.result for one in (first, again, next_day, other_facts)] == [
        "scheduled",
        "refused",
        "scheduled",
        "scheduled",
    ]


async def test_the_third_bot_with_one_link_and_a_reply_wait_for_a_person(sender: Sender) -> None:
    await sender.with_bots(4)
    said = [(f"bot_{number}", f"{word} https://example.org/a") for number, word in enumerate(("Sun", "Rain", "Snow"))]
    receipts = [*await write_all(sender, said), await write(sender, "bot_3", "Fog https://example.org/a")]
    assert [one.result for one in receipts] == ["scheduled", "scheduled", "awaiting_approval", "awaiting_approval"]
    reply = await write(sender, "bot_0", "You asked, here it is.", reply_to_x_post_id="77")
    second = await write(sender, "bot_1", "Me too.", reply_to_x_post_id="77")
    assert (reply.result, second.result) == ("awaiting_approval", "refused")
    assert [one.split(":")[0] for one in second.reasons] == ["unsummoned-reply", "one-reply"]


async def test_a_name_that_trends_since_today_waits_for_a_person(sender: Sender) -> None:
    await sender.with_bots(1)
    named = (
        "INSERT INTO trend_names (name, cluster, shown, kind, first_seen_at, last_seen_at)"
        " VALUES (:name, :name, :name, :kind, app_now() - make_interval(hours => :hours), app_now())"
    )
    await sender.sql(named, name="#Stormana", kind="tag", hours=5)
    # Nobody has looked for long enough to know what is new.
    assert (await write(sender, "bot_0", "Storm: see #stormana for closures.")).result == "scheduled"
    await sender.sql(named, name="Ferry", kind="query", hours=500)
    await sender.sql(named, name="Fog", kind="article", hours=5)
    texts = ("Stormana closes the pier.", "Ferry at eight, no fog.")
    receipts = await write_all(sender, [("bot_0", one) for one in texts])
    assert [one.result for one in receipts] == ["awaiting_approval", "scheduled"]


async def test_a_draft_stands_in_nobodys_way_and_is_judged_when_it_is_released(sender: Sender) -> None:
    await sender.with_bots(2)
    async with sender.at.transaction() as session:
        due_at = await base.now(session) + timedelta(hours=1)
    drafts = [a_draft(bot="bot_0", text=one, due_at=due_at) for one in (TWIN, "Go and vote.")]
    twin, civic = await posts.schedule(sender.at, drafts, WRITER, "plan", as_draft=True)
    assert twin.post_id
    assert civic.post_id
    assert (await write(sender, "bot_1", TEXT)).result == "scheduled"
    assert (await content.release(sender.at, twin.post_id, WRITER)).result == "refused"
    assert (await content.release(sender.at, civic.post_id, WRITER)).result == "awaiting_approval"
    assert await status_of(sender, twin.post_id, civic.post_id) == ["draft", "awaiting_approval"]
    async with sender.at.transaction() as session:
        assert [one.post_id for one in await approvals.waiting(session, None)] == [civic.post_id]


@pytest.mark.promise("P6")
async def test_under_a_new_policy_what_waits_is_judged_before_it_is_due_and_the_older_twin_stands(
    sender: Sender,
) -> None:
    """As an older release left it: verdicts of its own policy, and no fingerprints."""
    first_bot, second_bot = await sender.with_bots(2)
    [old] = await sender.schedule(first_bot, due_in_seconds=3600, text=TEXT)
    [young] = await sender.schedule(second_bot, due_in_seconds=3600, text=TWIN)
    [harmless] = await sender.schedule(second_bot, due_in_seconds=3600)
    [on_topic] = await sender.schedule(second_bot, due_in_seconds=3600, text="Vote on Sunday")
    await sender.sql("UPDATE verdicts SET policy_version = 'older'")
    found = await rejudging.look_over(sender.at)
    assert (found.printed, found.judged, found.ended) == (4, 4, 2)
    assert await status_of(sender, old, young, harmless, on_topic) == [
        "scheduled",
        "refused",
        "scheduled",
        "awaiting_approval",
    ]
    assert "near-duplicate" in await reason_of(sender, young)
    found = await rejudging.look_over(sender.at)
    assert (found.printed, found.judged, found.ended) == (0, 0, 0)
    # Judged once more by yet another policy the older one is not refused for the younger.
    await sender.sql("UPDATE verdicts SET policy_version = 'even older' WHERE policy_version <> 'older'")
    await rejudging.look_over(sender.at)
    assert await status_of(sender, old) == ["scheduled"]


@pytest.mark.promise("P6")
async def test_a_rule_that_fails_lets_nothing_pass_and_says_so(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: Case) -> None:
        if "fog" in case.draft.text:
            raise ZeroDivisionError

    [bot] = await sender.with_bots(1)
    [ill] = await sender.schedule(bot, judged=False, text=TEXT)
    [well] = await sender.schedule(bot, judged=False)
    with monkeypatch.context() as patched:
        patched.setitem(gate.JUDGES, "cashtags", broken)  # type: ignore[arg-type]
        await sender.run(0.5)
        refused = await write(sender, "bot_0", f"{TEXT} Again.")
    assert await status_of(sender, ill, well) == ["scheduled", "published"]
    assert await reason_of(sender, ill) == (
        "gate-failed: rule cashtags ended in ZeroDivisionError; what is not judged does not go out"
    )
    assert (refused.result, refused.reasons[0].split(":")[0]) == ("refused", "gate-failed")
    await sender.run(0.5)
    assert await status_of(sender, ill) == ["published"]


@pytest.mark.promise("P6")
async def test_a_gate_that_hangs_lets_nothing_pass_and_holds_up_nothing_judged(sender: Sender) -> None:
    sender.with_settings("posting", gate_seconds=0.3)
    [bot] = await sender.with_bots(1)
    [hangs] = await sender.schedule(bot, judged=False)
    [judged] = await sender.schedule(bot)
    async with sender.at.transaction() as session:
        await fingerprints.lock(session, range(128))
        await sender.run(1)
        assert await status_of(sender, hangs, judged) == ["scheduled", "published"]
        assert await reason_of(sender, hangs) == "waits: the gate could not judge it: it took more than 0.3 s"
    await sender.run(0.5)
    assert await status_of(sender, hangs) == ["published"]


@pytest.mark.promise("P6")
async def test_a_gate_that_is_killed_lets_nothing_pass(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    ids = await sender.schedule(bot, 5, judged=False)
    async with sender.at.transaction() as session:
        await fingerprints.lock(session, range(128))
        process = sender.process()
        await until(lambda: judging(sender))
        process.kill()
        process.join()
    assert sender.ledger() == []
    assert set(await status_of(sender, *ids)) == {"claimed"}
    await until(lambda: after_its_lease(sender, ids))
    assert len(sender.ledger()) == 5


async def judging(sender: Sender) -> bool:
    """Whether somebody waits for the locks of what could be alike."""
    async with sender.at.transaction() as session:
        found = await session.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        return bool(found.scalar_one())


async def after_its_lease(sender: Sender, ids: Sequence[UUID]) -> bool:
    await sender.run(0.5)
    return set(await status_of(sender, *ids)) == {"published"}


@pytest.mark.promise("P6")
async def test_an_approval_is_for_the_words_that_were_read_and_expires(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    waits = await write(sender, "bot_0", "Vote on Sunday, the schools are open from eight.", 1)
    assert waits.post_id
    await sender.run(1.5)
    assert (await status_of(sender, waits.post_id), sender.ledger()) == (["awaiting_approval"], [])
    await sender.sql("UPDATE approvals SET expires_at = app_now() + interval '1 second'")
    await until(lambda: swept(sender, waits.post_id))
    assert await reason_of(sender, waits.post_id) == "nobody approved it in time"
    async with sender.at.transaction() as session:
        assert await approvals.waiting(session, None) == []


async def swept(sender: Sender, post_id: UUID | None) -> bool:
    return post_id in (await delivery.sweep(sender.at)).expired
