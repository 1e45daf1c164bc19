"""Breakers: X's word that nothing more is taken for now, for an app or a bot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Table, Text, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values
from tasks.store.bots import bots
from tasks.store.x_apps import x_apps

breakers = Table(
    "breakers",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("bot_id", Id, ForeignKey("bots.id")),
    Column("cause", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("opened_at", Instant, nullable=False, server_default=app_now),
    Column("ends_at", Instant),
    Column("closed_at", Instant),
    Column("closed_by", Text),
)


@dataclass(frozen=True)
class BreakerRow:
    """An open breaker; `over` is the app or the bot that it silences."""

    id: UUID
    over: str
    bot_id: UUID | None
    cause: str
    evidence: str
    opened_at: datetime
    ends_at: datetime | None


# One that has ended by itself makes room for the next. A bot without an app has its own money matters.
_OPEN = text(
    """
    INSERT INTO breakers (x_app_id, bot_id, cause, evidence, ends_at)
    SELECT CASE WHEN :of_app THEN bot.x_app_id END,
        CASE WHEN NOT :of_app OR bot.x_app_id IS NULL THEN bot.id END, :cause, :evidence,
        CASE WHEN :of_app THEN next_month(app_now()) END
    FROM bots AS bot WHERE bot.id = :bot_id
    ON CONFLICT (coalesce(x_app_id, bot_id), cause) WHERE closed_at IS NULL DO UPDATE
    SET evidence = excluded.evidence, opened_at = excluded.opened_at, ends_at = excluded.ends_at
    WHERE breakers.ends_at <= app_now()
    RETURNING id
    """
)


async def open_for(session: AsyncSession, bot_id: UUID, cause: str, evidence: str, of_app: bool) -> bool:
    """Open one over a bot, or over its app until the month's end; False where it was open already."""
    given = {"bot_id": bot_id, "cause": cause, "evidence": evidence, "of_app": of_app}
    return (await session.execute(_OPEN, given)).first() is not None


_POLICY_REFUSALS = text(
    """
    SELECT count(*) FROM publish_attempts
    WHERE bot_id = :bot_id AND marked_at > app_now() - :within AND ended = 'refused' AND http_status = 403
        AND problem IS DISTINCT FROM 'duplicate'
        AND marked_at > coalesce((SELECT max(closed_at) FROM breakers WHERE bot_id = :bot_id), '-infinity')
    """
)


async def policy_refusals(session: AsyncSession, bot_id: UUID, within: timedelta) -> int:
    """How many posts of a bot X refused by its rules lately, since the last breaker was closed."""
    found = await session.execute(_POLICY_REFUSALS, {"bot_id": bot_id, "within": within})
    return int(found.scalar_one())


async def standing(session: AsyncSession) -> Sequence[BreakerRow]:
    """Breakers that are open, the oldest first."""
    over = func.coalesce("app " + x_apps.c.name, "@" + bots.c.handle).label("over")
    wanted = (
        select(
            breakers.c.id,
            over,
            breakers.c.bot_id,
            breakers.c.cause,
            breakers.c.evidence,
            breakers.c.opened_at,
            breakers.c.ends_at,
        )
        .join_from(breakers, bots, breakers.c.bot_id == bots.c.id, isouter=True)
        .join(x_apps, breakers.c.x_app_id == x_apps.c.id, isouter=True)
        .where(breakers.c.closed_at.is_(None), or_(breakers.c.ends_at.is_(None), breakers.c.ends_at > app_now))
        .order_by(breakers.c.opened_at)
    )
    return [BreakerRow(**values(row)) for row in await session.execute(wanted)]


async def close(session: AsyncSession, breaker_id: UUID, by: str) -> bool:
    """Close one; False where it is not open."""
    found = await session.execute(
        update(breakers)
        .where(breakers.c.id == breaker_id, breakers.c.closed_at.is_(None))
        .values(closed_at=app_now, closed_by=by)
        .returning(breakers.c.id)
    )
    return found.first() is not None
