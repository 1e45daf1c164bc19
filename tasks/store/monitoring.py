"""What is counted for those who watch over the fleet: each reads the end of an index, or a table that stays small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.today import Some
from tasks.store.base import values


async def be_quick(session: AsyncSession, seconds: float) -> None:
    """End any statement of this transaction that takes longer: watching must never weigh on what is watched."""
    await session.execute(
        text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": f"{int(seconds * 1000)}ms"}
    )


@dataclass(frozen=True)
class EndedAttempt:
    """An attempt that ended; `late_seconds` is from the planned instant to the first byte, None where none left."""

    id: UUID
    bot: str
    ended: str
    ended_at: datetime
    late_seconds: float | None


async def ended_attempts(session: AsyncSession, since: datetime) -> Sequence[EndedAttempt]:
    """Attempts that ended after an instant; one whose unknown end was settled later ends again."""
    found = await session.execute(
        text(
            "SELECT attempt.id, bot.handle AS bot, attempt.ended, attempt.ended_at,"
            " CAST(extract(epoch FROM attempt.first_byte_at - post.planned_at) AS double precision) AS late_seconds"
            " FROM publish_attempts AS attempt"
            " JOIN posts AS post ON post.id = attempt.post_id JOIN bots AS bot ON bot.id = attempt.bot_id"
            " WHERE attempt.ended IS NOT NULL AND attempt.ended_at > :since"
        ),
        {"since": since},
    )
    return [EndedAttempt(**values(row)) for row in found]


@dataclass(frozen=True)
class FailedPost:
    """A post that will not go out any more: refused or expired."""

    id: UUID
    bot: str
    status: str
    at: datetime


async def failed_posts(session: AsyncSession, since: datetime) -> Sequence[FailedPost]:
    """Posts that were refused or expired after an instant."""
    found = await session.execute(
        text(
            "SELECT post.id, bot.handle AS bot, post.status, post.updated_at AS at"
            " FROM posts AS post JOIN bots AS bot ON bot.id = post.bot_id"
            " WHERE post.status IN ('refused', 'expired') AND post.updated_at > :since"
        ),
        {"since": since},
    )
    return [FailedPost(**values(row)) for row in found]


async def due(session: AsyncSession, now: datetime) -> Mapping[bool, Some]:
    """Posts whose instant has come and that were not sent, by whether their bot may speak now."""
    found = await session.execute(
        text(
            "WITH waiting AS (SELECT bot_id, count(*) AS number, min(next_at) AS oldest FROM posts"
            " WHERE status IN ('scheduled', 'claimed') AND next_at < :now GROUP BY bot_id)"
            " SELECT bot.state = 'active' AND NOT silenced(bot) AS speaks,"
            " CAST(sum(waiting.number) AS bigint) AS number, min(waiting.oldest) AS oldest"
            " FROM waiting JOIN bots AS bot ON bot.id = waiting.bot_id GROUP BY 1"
        ),
        {"now": now},
    )
    return {row.speaks: Some(row.number, row.oldest) for row in found}


async def due_between(session: AsyncSession, after: datetime, before: datetime) -> int:
    """Posts that fall due between two instants."""
    found = await session.execute(
        text(
            "SELECT count(*) FROM posts"
            " WHERE status IN ('scheduled', 'claimed') AND next_at >= :after AND next_at < :before"
        ),
        {"after": after, "before": before},
    )
    return int(found.scalar_one())


async def open_attempts(session: AsyncSession) -> int:
    """Requests to X that have no outcome yet."""
    found = await session.execute(text("SELECT count(*) FROM publish_attempts WHERE ended IS NULL"))
    return int(found.scalar_one())


async def bots_by_state(session: AsyncSession) -> Mapping[str, int]:
    """How many bots are in each state."""
    return {
        row.state: row.number
        for row in await session.execute(text("SELECT state, count(*) AS number FROM bots GROUP BY state"))
    }


async def stops_by_scope(session: AsyncSession) -> Mapping[str, int]:
    """Stops in force, by what they silence."""
    found = await session.execute(
        text(
            "SELECT scope, count(*) AS number FROM stops"
            " WHERE lifted_at IS NULL AND (ends_at IS NULL OR ends_at > (SELECT app_now())) GROUP BY scope"
        )
    )
    return {row.scope: row.number for row in found}


async def breakers_by_cause(session: AsyncSession) -> Mapping[str, int]:
    """Breakers that are open, or half open, by what opened them."""
    found = await session.execute(
        text("SELECT cause, count(*) AS number FROM breakers WHERE closed_at IS NULL GROUP BY cause")
    )
    return {row.cause: row.number for row in found}


@dataclass(frozen=True)
class AppMoney:
    """What an app has spent in this month, and what it may; None is no limit."""

    app: str
    spent_usd: Decimal
    budget_usd: Decimal | None


async def money(session: AsyncSession) -> Sequence[AppMoney]:
    """Money of each app in this month."""
    found = await session.execute(
        text(
            "SELECT app.name AS app, coalesce(spent.usd, 0) AS spent_usd, app.monthly_budget_usd AS budget_usd"
            " FROM x_apps AS app LEFT JOIN spend_months AS spent"
            " ON spent.x_app_id = app.id AND spent.month = utc_month((SELECT app_now())) ORDER BY app.name"
        )
    )
    return [AppMoney(**values(row)) for row in found]


@dataclass(frozen=True)
class Window:
    """What X takes at an endpoint within `span`."""

    endpoint: str
    most: int
    span: timedelta


@dataclass(frozen=True)
class AppRoom:
    """What is left of an app's window: by our own count, or by X's word where that is less."""

    app: str
    endpoint: str
    most: int
    left: int


_APP_ROOM = text(
    """
    SELECT app.name AS app, item.endpoint, item.most, CAST(greatest(0, least(told.remaining,
        item.most - window_used(app.id, item.endpoint, (SELECT app_now()) - item.span))) AS bigint) AS left
    FROM x_apps AS app
    CROSS JOIN unnest(CAST(:endpoints AS text[]), CAST(:mosts AS integer[]), CAST(:spans AS interval[]))
        AS item (endpoint, most, span)
    LEFT JOIN rate_limits_told AS told ON told.subject_id = app.id AND told.endpoint = item.endpoint
        AND told.resets_at > (SELECT app_now())
    ORDER BY app.name, item.endpoint
    """
)


async def app_room(session: AsyncSession, windows: Sequence[Window]) -> Sequence[AppRoom]:
    """What each app may still ask for in each of the windows."""
    given = {
        "endpoints": [one.endpoint for one in windows],
        "mosts": [one.most for one in windows],
        "spans": [one.span for one in windows],
    }
    return [AppRoom(**values(row)) for row in await session.execute(_APP_ROOM, given)]


async def posts_of_the_busiest_bot(session: AsyncSession, since: datetime) -> int:
    """The most places in X's window for posts that any bot has taken since an instant."""
    # What was marked after an instant has ended after it, or is open: both are found by an index.
    found = await session.execute(
        text(
            "SELECT coalesce(max(count), 0) FROM (SELECT count(*) AS count FROM publish_attempts"
            " WHERE ((ended IS NOT NULL AND ended_at > :since) OR ended IS NULL)"
            " AND marked_at > :since AND takes_a_place(ended) GROUP BY bot_id) AS of_bot"
        ),
        {"since": since},
    )
    return int(found.scalar_one())


@dataclass(frozen=True)
class Expiry:
    """Credentials of a kind: how many have ended, and when the first of those that serve ends."""

    kind: str
    ended: int
    first_end: datetime | None


async def expiries(session: AsyncSession) -> Sequence[Expiry]:
    """Credentials that end by themselves, by kind; those of bots that do not speak wait for a person anyway."""
    found = await session.execute(
        text(
            "SELECT kind, count(*) FILTER (WHERE ends_at <= instant) AS ended,"
            " min(ends_at) FILTER (WHERE ends_at > instant) AS first_end"
            " FROM (SELECT credential.kind, credential.expires_at AS ends_at FROM credentials AS credential"
            " LEFT JOIN bots AS bot ON bot.id = credential.bot_id"
            " WHERE credential.expires_at IS NOT NULL AND (bot.id IS NULL OR bot.state = 'active')"
            " UNION ALL SELECT 'api_key', ends_at FROM api_keys"
            " WHERE revoked_at IS NULL AND replaced_at IS NULL AND ends_at > (SELECT app_now())) AS one,"
            " (SELECT app_now() AS instant) AS clock GROUP BY kind ORDER BY kind"
        )
    )
    return [Expiry(**values(row)) for row in found]


async def token_ends(session: AsyncSession) -> Mapping[str, datetime]:
    """When the access token of each bot that speaks ends."""
    found = await session.execute(
        text(
            "SELECT bot.handle, token.expires_at FROM credentials AS token JOIN bots AS bot ON bot.id = token.bot_id"
            " WHERE token.kind = 'x_user_access' AND token.expires_at IS NOT NULL AND bot.state = 'active'"
        )
    )
    return {row.handle: row.expires_at for row in found}
