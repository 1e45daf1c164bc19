"""The audit: rows that are appended and never changed, and the seals over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Cast,
    Column,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    Table,
    Text,
    cast,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import UserDefinedType

from tasks.domain.audit import AuditRow, Leaf, Seal
from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import Id, Instant, Json, app_now, metadata, values
from tasks.store.bots import bots


class Xid(UserDefinedType[int]):
    """A transaction id of 64 bits, which never wraps around."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Its name in SQL."""
        return "xid8"

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """The driver hands it over as text."""
        return int


ischema_names["xid8"] = Xid

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column(
        "xid",
        Xid,
        nullable=False,
        server_default=text("pg_current_xact_id()"),
        comment="rows of transactions older than every running one are sealed",
    ),
    Column("at", Instant, nullable=False, server_default=app_now),
    Column("category", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("bot_id", Id),
    Column("before", Json),
    Column("after", Json),
    Column("details", Json, nullable=False),
    Column(
        "personal",
        Text,
        comment="personal values as JSON, encrypted under the key of bot_id: the seal stays whole when that key is"
        " destroyed",
    ),
)
audit_seals = Table(
    "audit_seals",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False, unique=True),
    Column("leaves", Integer, nullable=False),
    Column("below", Xid, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("sealed_at", Instant, nullable=False),
    Column("signature", Text, nullable=False),
)
audit_leaves = Table(
    "audit_leaves",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("row_id", BigInteger, nullable=False, unique=True),
    Column("seal", BigInteger, ForeignKey("audit_seals.number"), nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

_COLUMNS = tuple(audit_log.c[field.name] for field in fields(AuditRow))
_ROWS = select(*_COLUMNS)
_unsealed = ~exists(select(1).where(audit_leaves.c.row_id == audit_log.c.id))


@dataclass(frozen=True)
class Horizon:
    """Where transactions stand: all before `xmin` have ended, none from `xmax` on had begun."""

    xmin: int
    xmax: int
    now: datetime


def _xid(value: int) -> Cast[int]:
    """The driver has no type for these either: they travel as text."""
    return cast(literal(str(value), Text), Xid)


async def add(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows, in the transaction of what they tell of."""
    await session.execute(insert(audit_log), rows)


async def horizon(session: AsyncSession) -> Horizon:
    """The snapshot of this statement: whatever it does not see, a later look will."""
    found = await session.execute(
        text(
            "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS xmin,"
            " CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS xmax, app_now() AS now"
        )
    )
    return Horizon(**values(found.one()))


async def to_seal(session: AsyncSession, since: int, horizon: Horizon, limit: int) -> list[AuditRow]:
    """Rows without a seal of transactions from `since` on that ended before the horizon, oldest transaction first.

    After a restore transactions are counted anew: whatever bears a number not given out yet came with the dump.
    """
    if since <= horizon.xmin:
        ended = (audit_log.c.xid >= _xid(since)) & (audit_log.c.xid < _xid(horizon.xmin))
    else:
        ended = (audit_log.c.xid < _xid(horizon.xmin)) | (audit_log.c.xid >= _xid(horizon.xmax))
    statement = _ROWS.where(ended, _unsealed).order_by(audit_log.c.xid, audit_log.c.id).limit(limit)
    return [AuditRow(**values(row)) for row in await session.execute(statement)]


async def waiting(session: AsyncSession, since: int) -> tuple[int, datetime | None]:
    """How many rows of transactions from `since` on no seal covers yet, and the instant of the oldest."""
    statement = select(func.count(), func.min(audit_log.c.at)).where(audit_log.c.xid >= _xid(since), _unsealed)
    count, oldest = (await session.execute(statement)).one()
    return count, oldest


async def last_seal(session: AsyncSession) -> Seal | None:
    """The seal with the highest number."""
    row = (await session.execute(select(audit_seals).order_by(audit_seals.c.number.desc()).limit(1))).one_or_none()
    return Seal(**values(row)) if row else None


_ADD_SEAL = text(
    """
    INSERT INTO audit_seals (number, first, leaves, below, root, previous, sealed_at, signature)
    VALUES (:number, :first, :leaves, CAST(CAST(:below AS text) AS xid8), :root, :previous, :sealed_at, :signature)
    """
)
_ADD_LEAVES = text(
    """
    INSERT INTO audit_leaves (position, row_id, seal, hash)
    SELECT position, row_id, :seal, hash
    FROM unnest(CAST(:positions AS bigint[]), CAST(:rows AS bigint[]), CAST(:hashes AS bytea[]))
        AS leaf (position, row_id, hash)
    """
)


async def add_seal(session: AsyncSession, seal: Seal) -> None:
    """Append a seal; raises IntegrityError where another one has its number or its first place."""
    await session.execute(_ADD_SEAL, {field.name: getattr(seal, field.name) for field in fields(Seal)})


async def add_leaves(session: AsyncSession, seal: Seal, leaves: Sequence[Leaf]) -> None:
    """Append the leaves of a seal; raises IntegrityError where a row has one already."""
    await session.execute(
        _ADD_LEAVES,
        {
            "seal": seal.number,
            "positions": [leaf.position for leaf in leaves],
            "rows": [leaf.row_id for leaf in leaves],
            "hashes": [leaf.hash for leaf in leaves],
        },
    )


async def lead(session: AsyncSession) -> bool:
    """Try to become the leader for as long as the session's connection lives: one sealer works, others stand by."""
    found = await session.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": AdvisoryLock.SEALER})
    return bool(found.scalar_one())


async def still_there(session: AsyncSession) -> bool:
    """True, or an error where the session's connection, and with it the lock, is lost."""
    return bool((await session.execute(text("SELECT true"))).scalar_one())


async def seals_after(session: AsyncSession, number: int, limit: int) -> list[Seal]:
    """Seals in order, from the one after `number`."""
    found = await session.execute(
        select(audit_seals).where(audit_seals.c.number > number).order_by(audit_seals.c.number).limit(limit)
    )
    return [Seal(**values(row)) for row in found]


async def leaves_of(session: AsyncSession, first: int, last: int) -> dict[int, list[Leaf]]:
    """Leaves by seal, of the seals `first` to `last`."""
    found = await session.execute(
        select(audit_leaves).where(audit_leaves.c.seal.between(first, last)).order_by(audit_leaves.c.position)
    )
    by_seal: dict[int, list[Leaf]] = {}
    for row in found:
        by_seal.setdefault(row.seal, []).append(Leaf(row.position, row.row_id, row.hash))
    return by_seal


async def rows_by_id(session: AsyncSession, ids: Sequence[int]) -> dict[int, AuditRow]:
    """Rows by id; what is not there is left out."""
    found = await session.execute(_ROWS.where(audit_log.c.id.in_(ids)))
    return {row.id: AuditRow(**values(row)) for row in found}


async def not_sealed(session: AsyncSession, since: int, limit: int) -> list[AuditRow]:
    """Rows of transactions from `since` on that no seal covers yet, oldest first."""
    statement = _ROWS.where(audit_log.c.xid >= _xid(since), _unsealed).order_by(audit_log.c.id).limit(limit)
    return [AuditRow(**values(row)) for row in await session.execute(statement)]


async def seals_between(
    session: AsyncSession, since: datetime | None, until: datetime | None
) -> tuple[int | None, int | None]:
    """First and last seal over rows of a span of time; the last is None where there is no `until`, the first where
    there are no such rows."""
    if since is None and until is None:
        return 1, None
    statement = select(func.min(audit_leaves.c.seal), func.max(audit_leaves.c.seal)).join_from(
        audit_leaves, audit_log, audit_log.c.id == audit_leaves.c.row_id
    )
    if since is not None:
        statement = statement.where(audit_log.c.at >= since)
    if until is not None:
        statement = statement.where(audit_log.c.at < until)
    first, last = (await session.execute(statement)).one()
    return first, (last if until is not None else None)


async def slipped_in(session: AsyncSession, below: int, limit: int) -> list[AuditRow]:
    """Rows of transactions before `below` that no seal covers: whoever wrote them wrote them afterwards."""
    statement = _ROWS.where(audit_log.c.xid < _xid(below), _unsealed).order_by(audit_log.c.id).limit(limit)
    return [AuditRow(**values(row)) for row in await session.execute(statement)]


@dataclass(frozen=True)
class Wanted:
    """Which rows to look for; None is any. `action` and `actor` name a whole one, or its beginning with a `*`."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    category: str | None = None
    bot: str | None = None
    text: str | None = None
    labels: frozenset[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class SealedRow:
    """A row, the handle of its bot, and the seal that covers it."""

    row: AuditRow
    bot: str | None
    seal: int | None


_VALUES = (audit_log.c.before, audit_log.c.after, audit_log.c.details)


def _as_text(column: Column[Any]) -> Cast[str]:
    return cast(column, Text)


async def page(session: AsyncSession, wanted: Wanted, before: int | None, limit: int) -> list[SealedRow]:
    """Rows from the newest downwards, below the id `before`."""
    log = audit_log.c
    statement = (
        select(*_COLUMNS, bots.c.handle.label("handle"), audit_leaves.c.seal)
        .select_from(audit_log)
        .outerjoin(bots, bots.c.id == log.bot_id)
        .outerjoin(audit_leaves, audit_leaves.c.row_id == log.id)
        .order_by(log.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(log.id < before)
    for column, pattern in ((log.actor, wanted.actor), (log.action, wanted.action)):
        if pattern is not None and pattern.endswith("*"):
            statement = statement.where(column.startswith(pattern[:-1], autoescape=True))
        elif pattern is not None:
            statement = statement.where(column == pattern)
    if wanted.subject is not None:
        statement = statement.where(log.subject == wanted.subject)
    if wanted.category is not None:
        statement = statement.where(log.category == wanted.category)
    if wanted.bot is not None:
        statement = statement.where(func.lower(bots.c.handle) == wanted.bot.lower())
    if wanted.text is not None:
        whole = func.concat_ws(" ", log.actor, log.action, log.subject, bots.c.handle, *map(_as_text, _VALUES))
        statement = statement.where(func.strpos(func.lower(whole), wanted.text.lower()) > 0)
    if wanted.labels is not None:
        statement = statement.where(or_(false(), *(bots.c.labels.any(label) for label in sorted(wanted.labels))))
    if wanted.since is not None:
        statement = statement.where(log.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(log.at < wanted.until)
    found = []
    for row in await session.execute(statement):
        known = values(row)
        handle, seal = known.pop("handle"), known.pop("seal")
        found.append(SealedRow(AuditRow(**known), handle, seal))
    return found


async def bots_with_label(session: AsyncSession, label: str) -> frozenset[UUID]:
    """Ids of the bots that bear a label."""
    found = await session.execute(select(bots.c.id).where(bots.c.labels.any(label)))
    return frozenset(row.id for row in found)


async def has(session: AsyncSession, action: str, subject: str, details: Mapping[str, Any]) -> bool:
    """Whether such a change was ever audited, with these among its details."""
    wanted = select(audit_log.c.id).where(
        audit_log.c.action == action, audit_log.c.subject == subject, audit_log.c.details.contains(details)
    )
    return (await session.execute(wanted.limit(1))).one_or_none() is not None
