"""Rows are sealed in order, once, whoever seals; what was done to them afterwards is named."""

import asyncio
import json
from datetime import datetime

import pytest

from blocks.vault.errors import Unreachable
from tasks.domain.audit import ANCHOR_PATH, seal_from_json
from tasks.operations import audit
from tasks.operations.sealing import Sealer, read_anchor
from tests.audit.conftest import Book
from tests.waiting import until


async def test_what_is_committed_is_sealed_signed_and_anchored(book: Book) -> None:
    await book.write(3)
    assert await book.sealer.seal_all() == 3
    await book.write(2)
    assert await book.sealer.seal_all() == 2
    assert await book.sealer.seal_all() == 0
    report = await audit.check(book.app)
    assert report.findings == ()
    assert (report.seals, report.rows) == (2, 5)
    assert report.said == "anchored to seal 2; 0 newer rows rest on grants only"
    last = (await audit.sealing(book.app)).last
    assert last is not None
    assert read_anchor(book.at.kv).seal == last
    assert seal_from_json(json.loads(book.at.places.last_seal.read_text(encoding="utf-8"))) == last


async def test_a_row_waits_for_every_transaction_that_began_before_it(book: Book) -> None:
    async with book.app.transaction() as slow:
        await book.note(slow, "slow")
        await book.write(1)
        assert await book.sealer.seal_all() == 0
        assert (await audit.check(book.app)).newer == 1
    assert await book.sealer.seal_all() == 2
    assert (await audit.check(book.app)).findings == ()


async def test_a_change_that_is_rolled_back_leaves_no_row(book: Book) -> None:
    with pytest.raises(RuntimeError):
        async with book.app.transaction() as session:
            await book.note(session, "gone")
            raise RuntimeError
    await book.write(1)
    assert await book.sealer.seal_all() == 1


async def test_more_rows_than_a_batch_are_sealed_by_several_seals(book: Book) -> None:
    await book.write(1)
    await book.sealer.seal_all()
    async with book.app.transaction() as session:
        for number in range(11):
            await book.note(session, f"together-{number}")
    settings = book.at.places.settings.audit
    object.__setattr__(settings, "batch", 4)
    assert await book.sealer.seal_all() == 11
    report = await audit.check(book.app)
    assert (report.findings, report.seals, report.rows) == ((), 4, 12)


@pytest.mark.promise("P7")
async def test_a_row_that_the_owner_edited_is_named(book: Book) -> None:
    await book.write(5)
    await book.sealer.seal_all()
    book.as_owner("UPDATE audit_log SET actor = 'nobody' WHERE id = 3")
    [found] = (await audit.check(book.app)).findings
    assert (found.kind, found.row_id, found.seal) == ("edited", 3, 1)
    assert found.said.startswith("row 3 (posts.cancel post-2 by nobody, ")


@pytest.mark.promise("P7")
async def test_a_row_that_the_owner_deleted_is_named(book: Book) -> None:
    await book.write(5)
    await book.sealer.seal_all()
    book.as_owner("DELETE FROM audit_log WHERE id = 2")
    [found] = (await audit.check(book.app)).findings
    assert (found.kind, found.row_id, found.seal) == ("deleted", 2, 1)


@pytest.mark.promise("P7")
async def test_a_tail_that_the_owner_cut_is_found_by_the_anchor_and_stays_in_sight(book: Book) -> None:
    for _ in range(3):
        await book.write(2)
        await book.sealer.seal_all()
    book.as_owner(
        "DELETE FROM audit_leaves WHERE seal > 1",
        "DELETE FROM audit_seals WHERE number > 1",
        "DELETE FROM audit_log WHERE id > 2",
    )
    [found] = (await audit.check(book.app)).findings
    assert found.kind == "cut"
    assert "seal 3 is anchored outside, here is seal 1 at the end" in found.said
    assert "positions 3 to 6" in found.said
    await book.write(1)
    assert await Sealer(book.at).seal_all() == 1
    report = await audit.check(book.app)
    assert [one.said for one in report.findings] == [
        "seals 2 to 3 are gone, and with them the rows at the positions 3 to 6 of the audit"
    ]
    assert report.anchored_to == 4


@pytest.mark.promise("P7")
async def test_a_row_that_the_owner_slipped_in_afterwards_is_named(book: Book) -> None:
    await book.write(2)
    await book.sealer.seal_all()
    book.as_owner(
        "INSERT INTO audit_log (xid, category, actor, actor_kind, action, subject, details)"
        " VALUES ('3', 'activity', 'ann', 'user', 'posts.cancel', 'x', '{}')"
    )
    [found] = (await audit.check(book.app)).findings
    assert (found.kind, found.row_id) == ("slipped_in", 3)


async def test_two_sealers_at_once_make_one_chain(book: Book) -> None:
    other = Sealer(book.at)
    for _ in range(5):
        await book.write(4)
        # Both without the lock: the numbers alone keep them apart.
        await asyncio.gather(book.sealer.seal_all(), other.seal_all())
    await book.sealer.seal_all()
    report = await audit.check(book.app)
    assert (report.findings, report.rows, report.newer) == ((), 20, 0)


async def test_one_leads_and_the_other_takes_over(book: Book) -> None:
    ended, never = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(Sealer(book.at).work(ended))
    await book.write(1)
    await until(lambda: sealed_rows(book, 1))
    second = asyncio.create_task(Sealer(book.at).work(never))
    ended.set()
    await first
    await book.write(1)
    await until(lambda: sealed_rows(book, 2))
    never.set()
    await second
    assert (await audit.check(book.app)).findings == ()


async def sealed_rows(book: Book, count: int) -> bool:
    return (await audit.check(book.app)).rows == count


async def test_a_seal_that_was_written_and_not_anchored_is_anchored_by_the_next_sealer(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    await book.write(1)
    await book.sealer.seal_all()
    await book.write(1)
    with monkeypatch.context() as patch:

        def away(*_: object) -> int:
            raise Unreachable("the vault is away")

        patch.setattr(book.at.kv, "write_once", away)
        with pytest.raises(Unreachable):
            await book.sealer.seal_all()
    assert (await audit.check(book.app)).said == "anchored to seal 1; 1 newer row rests on grants only"
    assert await Sealer(book.at).seal_all() == 0
    assert (await audit.check(book.app)).said == "anchored to seal 2; 0 newer rows rest on grants only"


async def test_an_anchor_that_somebody_wrote_over_is_told_and_nothing_is_sealed_over_it(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    book.at.kv.write(ANCHOR_PATH, {"seal": "no seal"}, None)
    await book.write(1)
    ended = asyncio.Event()
    working = asyncio.create_task(book.sealer.work(ended))
    await until(lambda: "holds no seal" in caplog.text)
    ended.set()
    await working
    assert (await audit.sealing(book.app)).waiting == 1


async def test_a_place_that_somebody_took_by_hand_is_told(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    await book.write(1)
    await book.sealer.seal_all()
    book.as_owner("INSERT INTO audit_leaves VALUES (2, 99, 1, decode(repeat('00', 32), 'hex'))")
    await book.write(1)
    for _ in range(5):
        assert await book.sealer.seal_all() == 0
    assert "seal 2 or a place in it is taken already" in caplog.text


async def test_after_a_restore_transactions_are_counted_anew_and_everything_is_sealed_once(book: Book) -> None:
    await book.write(3)
    await book.sealer.seal_all()
    await book.write(1)
    # As if the dump came from a server that had counted further.
    book.as_owner(
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "UPDATE audit_log SET xid = CAST(CAST(CAST(CAST(xid AS text) AS bigint) + 1000000 AS text) AS xid8)",
        "UPDATE audit_seals SET below = CAST(CAST(CAST(CAST(below AS text) AS bigint) + 1000000 AS text) AS xid8)",
    )
    await book.write(1)
    assert await Sealer(book.at).seal_all() == 2
    await book.write(1)
    assert await Sealer(book.at).seal_all() == 1
    async with book.app.transaction() as session:
        from tasks.store import audit as rows

        assert await rows.waiting(session, 0) == (0, None)


async def test_rows_that_wait_are_counted_with_the_time_of_the_oldest(book: Book) -> None:
    await book.write(2)
    found = await audit.sealing(book.app)
    assert (found.waiting, found.last) == (2, None)
    assert found.oldest is not None
    await book.sealer.seal_all()
    found = await audit.sealing(book.app)
    assert (found.waiting, found.oldest) == (0, None)
    assert found.last is not None
    assert isinstance(found.last.sealed_at, datetime)
