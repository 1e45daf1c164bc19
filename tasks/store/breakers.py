"""Breakers: X's word that nothing more is taken for now, for an app or a bot.

One past its end is half open: it silences until X has answered a harmless call well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, func, literal_column, select, text, update
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
    Column("asked_by", Text, comment="who ended it before its time"),
    Column("probe_at", Instant, comment="when X is asked next; whoever asks moves it, and so holds it"),
    Column("probes", Integer, nullable=False, server_default="0"),
    Column("probed_at", Instant),
    Column("probe_said", Text),
)


@dataclass(frozen=True)
class BreakerRow:
    """An open breaker; `over` is the app or the bot that it silences.

    `half_open`: it has ended, and X is asked whether that is over; `probe_said` is X's last no to that.
    """

    id: UUID
    over: str
    bot_id: UUID | None
    cause: str
    evidence: str
    opened_at: datetime
    ends_at: datetime | None
    half_open: bool
    probed_at: datetime | None
    probe_said: str | None


# One that is half open opens anew. A bot without an app has its own money matters.
_OPEN = text(
    """
    INSERT INTO breakers (x_app_id, bot_id, cause, evidence, ends_at)
    SELECT CASE WHEN :of_app THEN bot.x_app_id END,
        CASE WHEN NOT :of_app OR bot.x_app_id IS NULL THEN bot.id END, :cause, :evidence,
        CASE WHEN :of_app THEN next_month(app_now()) END
    FROM bots AS bot WHERE bot.id = :bot_id
    ON CONFLICT (coalesce(x_app_id, bot_id), cause) WHERE closed_at IS NULL DO UPDATE
    SET evidence = excluded.evidence, opened_at = excluded.opened_at, ends_at = excluded.ends_at,
        asked_by = NULL, probe_at = NULL, probes = 0, probed_at = NULL, probe_said = NULL
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
    """Breakers that are open or half open, the oldest first."""
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
            func.coalesce(breakers.c.ends_at <= app_now, literal_column("false")).label("half_open"),
            breakers.c.probed_at,
            breakers.c.probe_said,
        )
        .join_from(breakers, bots, breakers.c.bot_id == bots.c.id, isouter=True)
        .join(x_apps, breakers.c.x_app_id == x_apps.c.id, isouter=True)
        .where(breakers.c.closed_at.is_(None))
        .order_by(breakers.c.opened_at)
    )
    return [BreakerRow(**values(row)) for row in await session.execute(wanted)]


async def end(session: AsyncSession, breaker_id: UUID, by: str) -> bool:
    """From now on X is asked whether it is over, the first time at once; False where it is not open."""
    found = await session.execute(
        update(breakers)
        .where(breakers.c.id == breaker_id, breakers.c.closed_at.is_(None))
        .values(ends_at=app_now, asked_by=by, probe_at=None, probes=0)
        .returning(breakers.c.id)
    )
    return found.first() is not None


@dataclass(frozen=True)
class Probe:
    """A half-open breaker, and the bot by whose token X is asked; an app's is one of those that may speak."""

    id: UUID
    cause: str
    bot_id: UUID
    x_app_id: UUID | None
    handle: str
    probes: int


_TAKE = text(
    """
    WITH due AS (
        SELECT breaker.id, speaker.id AS bot_id, speaker.x_app_id, speaker.handle
        FROM breakers AS breaker
        CROSS JOIN LATERAL (
            SELECT bot.id, bot.x_app_id, bot.handle FROM bots AS bot
            WHERE (bot.id = breaker.bot_id AND bot.state NOT IN ('suspended', 'retired'))
                OR (bot.x_app_id = breaker.x_app_id AND bot.state = 'active')
            ORDER BY random() LIMIT 1
        ) AS speaker
        WHERE breaker.closed_at IS NULL AND breaker.ends_at <= (SELECT app_now())
            AND (breaker.probe_at IS NULL OR breaker.probe_at <= (SELECT app_now()))
        ORDER BY breaker.ends_at LIMIT :limit FOR UPDATE OF breaker SKIP LOCKED
    )
    UPDATE breakers SET probe_at = app_now() + :lease, probes = breakers.probes + 1
    FROM due WHERE breakers.id = due.id
    RETURNING breakers.id, breakers.cause, due.bot_id, due.x_app_id, due.handle, breakers.probes
    """
)


async def take_probes(session: AsyncSession, lease: timedelta, limit: int) -> Sequence[Probe]:
    """Half-open breakers of which X is to be asked now; for the length of the lease nobody else takes them."""
    return [Probe(**values(row)) for row in await session.execute(_TAKE, {"lease": lease, "limit": limit})]


async def ask_again(session: AsyncSession, breaker_id: UUID, said: str, wait: timedelta) -> None:
    """X said no, or nothing: it is asked again after a while."""
    await session.execute(
        update(breakers)
        .where(breakers.c.id == breaker_id, breakers.c.closed_at.is_(None))
        .values(probed_at=app_now, probe_said=said, probe_at=app_now + wait)
    )


async def close_ended(session: AsyncSession, breaker_id: UUID, by: str) -> bool:
    """Close one that is half open; False where it has opened anew meanwhile."""
    found = await session.execute(
        update(breakers)
        .where(breakers.c.id == breaker_id, breakers.c.closed_at.is_(None), breakers.c.ends_at <= app_now)
        .values(closed_at=app_now, closed_by=func.coalesce(breakers.c.asked_by, by), probed_at=app_now, probe_said=None)
        .returning(breakers.c.id)
    )
    return found.first() is not None


async def close_of_bot(session: AsyncSession, bot_id: UUID, cause: str, by: str) -> bool:
    """Close the one over a bot for a cause, whether it has ended or not; False where there is none."""
    found = await session.execute(
        update(breakers)
        .where(breakers.c.bot_id == bot_id, breakers.c.cause == cause, breakers.c.closed_at.is_(None))
        .values(closed_at=app_now, closed_by=by)
        .returning(breakers.c.id)
    )
    return found.first() is not None
