"""What is read to tell the story of one post."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, literal_column, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.attempts import publish_attempts
from tasks.store.audit import audit_leaves, audit_log, audit_seals
from tasks.store.base import app_now, values
from tasks.store.bots import bots
from tasks.store.breakers import breakers
from tasks.store.looks import reconcile_looks
from tasks.store.posts import posts
from tasks.store.senders import senders
from tasks.store.stops import stops

Row = Mapping[str, Any]


async def post(session: AsyncSession, post_id: UUID) -> Row | None:
    """A post with its bot, and the status of the part before it in its thread."""
    before = posts.alias()
    found = await session.execute(
        select(
            posts,
            bots.c.handle.label("bot"),
            bots.c.state.label("bot_state"),
            bots.c.labels,
            bots.c.x_app_id,
            before.c.status.label("before_status"),
        )
        .join_from(posts, bots, bots.c.id == posts.c.bot_id)
        .outerjoin(
            before,
            and_(before.c.thread_id == posts.c.thread_id, before.c.thread_place == posts.c.thread_place - 1),
        )
        .where(posts.c.id == post_id)
    )
    row = found.one_or_none()
    return values(row) if row else None


async def attempts(session: AsyncSession, post_id: UUID) -> Sequence[Row]:
    """Attempts of a post with who made them, oldest first."""
    found = await session.execute(
        select(
            *(column for column in publish_attempts.c if column.name != "fingerprint"),
            senders.c.host,
            senders.c.pid,
            senders.c.flow_run_id,
            senders.c.died_at,
        )
        .join_from(publish_attempts, senders, senders.c.id == publish_attempts.c.sender_id)
        .where(publish_attempts.c.post_id == post_id)
        .order_by(publish_attempts.c.marked_at)
    )
    return [values(row) for row in found]


async def looks(session: AsyncSession, post_id: UUID) -> Sequence[Row]:
    """Looks at the bot's timeline for attempts of a post whose answer was lost, oldest first."""
    found = await session.execute(
        select(reconcile_looks)
        .join(publish_attempts, publish_attempts.c.id == reconcile_looks.c.attempt_id)
        .where(publish_attempts.c.post_id == post_id)
        .order_by(reconcile_looks.c.looked_at, reconcile_looks.c.id)
    )
    return [values(row) for row in found]


async def changes(session: AsyncSession, post_id: UUID) -> Sequence[Row]:
    """What people and programs did to a post, oldest first, with the seal over it."""
    log = audit_log.c
    found = await session.execute(
        select(
            *(log.id, log.at, log.actor, log.actor_kind, log.action, log.before, log.after, log.details),
            (log.action == "posts.schedule").label("made_it"),
            audit_leaves.c.seal,
            audit_seals.c.sealed_at,
        )
        .select_from(audit_log)
        .outerjoin(audit_leaves, audit_leaves.c.row_id == log.id)
        .outerjoin(audit_seals, audit_seals.c.number == audit_leaves.c.seal)
        .where(log.subject == str(post_id), log.action.startswith("posts."))
        .order_by(log.id)
    )
    return [values(row) for row in found]


async def silences(session: AsyncSession, bot_id: UUID) -> Sequence[Row]:
    """Stops and breakers in force over a bot, in words."""
    stop = (
        select(
            func.concat("stop for the ", stops.c.scope, " by ", stops.c.created_by, ": ", stops.c.reason).label("said"),
            stops.c.ends_at,
        )
        .join(bots, bots.c.id == bot_id)
        .where(
            stops.c.lifted_at.is_(None),
            or_(stops.c.ends_at.is_(None), stops.c.ends_at > app_now),
            or_(
                stops.c.scope == "fleet",
                stops.c.x_app_id == bots.c.x_app_id,
                stops.c.bot_id == bots.c.id,
                stops.c.label == func.any(bots.c.labels),
            ),
        )
    )
    breaker = (
        select(
            func.concat("X stands against it (", breakers.c.cause, "): ", func.said_of(literal_column("breakers"))),
            case((breakers.c.ends_at > app_now, breakers.c.ends_at)),
        )
        .join(bots, bots.c.id == bot_id)
        .where(
            breakers.c.closed_at.is_(None),
            or_(breakers.c.x_app_id == bots.c.x_app_id, breakers.c.bot_id == bots.c.id),
        )
    )
    return [values(row) for row in await session.execute(stop.union_all(breaker))]


async def senders_alive(session: AsyncSession, within: timedelta) -> int:
    """Runs that beat lately."""
    found = await session.execute(
        text(
            "SELECT count(*) FROM senders WHERE closed_at IS NULL AND died_at IS NULL"
            " AND beat_at > (SELECT app_now() - :within)"
        ),
        {"within": within},
    )
    return int(found.scalar_one())
