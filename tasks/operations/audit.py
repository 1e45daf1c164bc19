"""The audit as people read it: look, search, check, export."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain import audit_file
from tasks.domain.audit import AUDIT_KEY, AuditRow, Leaf, Seal, fingerprint, signed_by
from tasks.domain.audit_check import Check, Report
from tasks.domain.audit_file import Excerpt
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.operations.sealing import read_anchor
from tasks.store import audit
from tasks.store.audit import SealedRow, Wanted

SEALS_AT_ONCE = 200
ROWS_AT_ONCE = 5000
SLIPPED_IN_MAX = 100


@dataclass(frozen=True)
class Sealing:
    """How far the sealing is: rows that wait, the instant of the oldest of them, and the last seal."""

    waiting: int
    oldest: datetime | None
    last: Seal | None


async def page(at: Connections, wanted: Wanted, before: int | None, limit: int) -> Sequence[SealedRow]:
    """Rows from the newest downwards."""
    async with at.transaction() as session:
        return await audit.page(session, wanted, before, limit)


async def sealing(at: Connections) -> Sealing:
    """Whether rows wait for their seal."""
    async with at.transaction() as session:
        return await sealing_seen_by(session)


async def sealing_seen_by(session: AsyncSession) -> Sealing:
    """As `sealing`, in a transaction that asks for more."""
    last = await audit.last_seal(session)
    horizon = await audit.horizon(session)
    waiting, oldest = await audit.waiting(session, _since(last, horizon.xmin))
    return Sealing(waiting, oldest, last)


async def check(at: Connections, kept: tuple[int, bytes] | None = None) -> Report:
    """Read everything and name what is not as it was sealed; `kept`: number and digest of a seal kept elsewhere."""
    # The anchor first: seals that are made meanwhile may be newer than it, never older.
    anchor = (await asyncio.to_thread(read_anchor, at.kv)).seal
    keys = await asyncio.to_thread(at.transit.verifying_keys, AUDIT_KEY)
    checking = Check(signed_by(keys), fingerprint(keys), anchor, kept)
    async with at.transaction() as session:
        last = await audit.last_seal(session)
        horizon = await audit.horizon(session)
        restored = last is not None and last.below > horizon.xmin
        slipped = await audit.slipped_in(session, last.below, SLIPPED_IN_MAX) if last and not restored else []
    async for part in _sealed(at, 0, None):
        await asyncio.to_thread(_hand_in, checking, part)
    async with at.transaction() as session:
        last = await audit.last_seal(session)
        waiting, _ = await audit.waiting(session, _since(last, horizon.xmin))
    checking.unsealed(waiting, slipped)
    return checking.finish()


async def export(at: Connections, wanted: Excerpt, actor: Actor) -> AsyncIterator[str]:
    """Lines of a file that can be checked without us; see domain.audit_file. Who took them out is noted."""
    bounds = {"since": wanted.since, "until": wanted.until, "label": wanted.label}
    async with at.transaction() as session:
        said = {name: str(bound) for name, bound in bounds.items() if bound is not None}
        await activity.remark(session, actor, "audit.export", "audit", "security", **said)
    return _lines(at, wanted)


async def _lines(at: Connections, wanted: Excerpt) -> AsyncIterator[str]:
    anchor = (await asyncio.to_thread(read_anchor, at.kv)).seal
    keys = await asyncio.to_thread(at.transit.verifying_keys, AUDIT_KEY)
    async with at.transaction() as session:
        newest = await audit.last_seal(session)
        first, last = await audit.seals_between(session, wanted.since, wanted.until)
        if first is None:
            first = newest.number + 1 if newest else 1
        now = (await audit.horizon(session)).now
        if wanted.label is not None:
            bots = await audit.bots_with_label(session, wanted.label)
            wanted = Excerpt(wanted.since, wanted.until, wanted.label, bots)
    yield audit_file.first_line(keys, anchor, wanted, begins=first <= 1, now=now)
    seals = 0
    async for part in _sealed(at, first - 1, last):
        seals += len(part)
        yield "".join(line for one in part for line in audit_file.seal_lines(*one, wanted))
    if wanted.until is None:
        async with at.transaction() as session:
            rows = await audit.not_sealed(session, _since(newest, newest.below if newest else 0), ROWS_AT_ONCE)
        yield "".join(audit_file.row_line(row) for row in rows if wanted.holds(row))
    yield audit_file.last_line(seals)


_Part = list[tuple[Seal, list[Leaf], dict[int, AuditRow]]]


async def _sealed(at: Connections, after: int, last: int | None) -> AsyncIterator[_Part]:
    """Seals after a number in order, with their leaves and rows; some thousand rows at once."""
    while True:
        async with at.transaction() as session:
            seals = await audit.seals_after(session, after, SEALS_AT_ONCE)
        seals = [one for one in seals if last is None or one.number <= last]
        if not seals:
            return
        for chunk in _chunks(seals):
            async with at.transaction() as session:
                leaves = await audit.leaves_of(session, chunk[0].number, chunk[-1].number)
                rows = await audit.rows_by_id(session, [leaf.row_id for some in leaves.values() for leaf in some])
            yield [
                (
                    one,
                    (own := leaves.get(one.number, [])),
                    {leaf.row_id: rows[leaf.row_id] for leaf in own if leaf.row_id in rows},
                )
                for one in chunk
            ]
        after = seals[-1].number


def _chunks(seals: Sequence[Seal]) -> list[list[Seal]]:
    chunks: list[list[Seal]] = []
    rows = ROWS_AT_ONCE
    for one in seals:
        if rows + one.leaves > ROWS_AT_ONCE:
            chunks.append([])
            rows = 0
        chunks[-1].append(one)
        rows += one.leaves
    return chunks


def _hand_in(checking: Check, part: _Part) -> None:
    for one, leaves, rows in part:
        checking.seal(one, leaves, rows)


def _since(last: Seal | None, xmin: int) -> int:
    """Transactions from here on may have rows without a seal; after a restore they are counted anew."""
    return min(last.below, xmin) if last else 0
