"""Counts over all posts and bots that a morning asks for; each reads an index from its end, or a table that is small.

`labels` bounds all of them to bots that bear one; None is every bot. Names are those of the first five.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.today import Silence, Some
from tasks.store.base import values

Labels = frozenset[str] | None

_POSTS = (
    "SELECT post.status, count(*) AS count, min(post.updated_at) AS oldest"
    " FROM posts AS post JOIN bots AS bot ON bot.id = post.bot_id WHERE "
)
_OF_STATUS = " AND bears_one(bot, :labels) GROUP BY post.status"


async def published(session: AsyncSession, since: datetime, labels: Labels) -> int:
    """Posts that went out."""
    found = await _posts(session, "post.status = 'published' AND post.published_at >= :since", labels, since=since)
    return found["published"].count if found else 0


async def failed(session: AsyncSession, since: datetime, labels: Labels) -> Mapping[str, Some]:
    """Posts that were refused or expired, by status."""
    return await _posts(
        session, "post.status IN ('refused', 'expired') AND post.updated_at >= :since", labels, since=since
    )


async def doubtful(session: AsyncSession, labels: Labels) -> Mapping[str, Some]:
    """Posts that are unknown or held, by status, whenever that began."""
    return await _posts(session, "post.status IN ('unknown', 'held')", labels)


async def awaiting_approval(session: AsyncSession, labels: Labels) -> Some:
    """Posts that wait for a person's word."""
    open_ones = "post.id IN (SELECT post_id FROM approvals WHERE decision IS NULL)"
    found = await _posts(session, f"post.status = 'awaiting_approval' AND {open_ones}", labels)
    return found.get("awaiting_approval", Some())


async def late(session: AsyncSession, before: datetime, labels: Labels) -> Some:
    """Posts that should have left before an instant, of bots that may speak."""
    found = await _rows(
        session,
        "WITH waiting AS (SELECT bot_id, count(*) AS count, min(next_at) AS oldest FROM posts"
        " WHERE status IN ('scheduled', 'claimed') AND next_at < :before GROUP BY bot_id)"
        " SELECT coalesce(sum(waiting.count), 0) AS count, min(waiting.oldest) AS oldest"
        " FROM waiting JOIN bots AS bot ON bot.id = waiting.bot_id"
        " WHERE bot.state = 'active' AND NOT silenced(bot) AND bears_one(bot, :labels)",
        labels,
        before=before,
    )
    return Some(int(found[0]["count"]), found[0]["oldest"])


async def bots_in_trouble(session: AsyncSession, labels: Labels) -> Mapping[str, Some]:
    """Bots that need to sign in or are suspended, by state."""
    found = await _rows(
        session,
        "SELECT bot.state AS status, count(*) AS count, NULL AS oldest,"
        " (array_agg('@' || bot.handle ORDER BY lower(bot.handle)))[1\\:5] AS names FROM bots AS bot"
        " WHERE bot.state IN ('needs_login', 'suspended') AND bears_one(bot, :labels) GROUP BY bot.state",
        labels,
    )
    return _by_status(found)


async def limited(session: AsyncSession, labels: Labels) -> Some:
    """Active bots that X seems to limit, by the last review of their reach."""
    found = await _rows(
        session,
        "SELECT count(*) AS count, min(insight.made_at) AS oldest,"
        " (array_agg('@' || bot.handle ORDER BY lower(bot.handle)))[1\\:5] AS names"
        " FROM bot_insights AS insight JOIN bots AS bot ON bot.id = insight.bot_id"
        " WHERE insight.verdict = 'limited' AND bot.state = 'active' AND bears_one(bot, :labels)",
        labels,
    )
    return _some(found[0])


async def stops(session: AsyncSession, labels: Labels) -> Sequence[Silence]:
    """Stops that stand; with labels those that touch one of its bots."""
    return [
        Silence(**row)
        for row in await _rows(
            session,
            "SELECT stop.scope || coalesce(' ' || stop.label, ' ' || app.name, ' @' || one.handle, '') AS over,"
            " stop.reason || ' (' || stop.created_by || ')' AS why, stop.created_at AS since, stop.ends_at"
            " FROM stops AS stop LEFT JOIN x_apps AS app ON app.id = stop.x_app_id"
            " LEFT JOIN bots AS one ON one.id = stop.bot_id"
            " WHERE stop.lifted_at IS NULL AND (stop.ends_at IS NULL OR stop.ends_at > (SELECT app_now()))"
            " AND (:labels IS NULL OR stop.scope = 'fleet' OR stop.label = ANY(:labels)"
            " OR EXISTS (SELECT FROM bots AS bot WHERE (bot.id = stop.bot_id OR bot.x_app_id = stop.x_app_id)"
            " AND bears_one(bot, :labels)))"
            " ORDER BY stop.created_at LIMIT 50",
            labels,
        )
    ]


async def breakers(session: AsyncSession, labels: Labels) -> Sequence[Silence]:
    """Breakers that are open; with labels those over one of its bots."""
    return [
        Silence(**row)
        for row in await _rows(
            session,
            "SELECT coalesce('app ' || app.name, '@' || one.handle) AS over,"
            " breaker.cause || ', ' || said_of(breaker) AS why, breaker.opened_at AS since,"
            " CASE WHEN breaker.ends_at > (SELECT app_now()) THEN breaker.ends_at END AS ends_at"
            " FROM breakers AS breaker LEFT JOIN x_apps AS app ON app.id = breaker.x_app_id"
            " LEFT JOIN bots AS one ON one.id = breaker.bot_id"
            " WHERE breaker.closed_at IS NULL"
            " AND (:labels IS NULL OR EXISTS (SELECT FROM bots AS bot"
            " WHERE (bot.id = breaker.bot_id OR bot.x_app_id = breaker.x_app_id) AND bears_one(bot, :labels)))"
            " ORDER BY breaker.opened_at LIMIT 50",
            labels,
        )
    ]


async def old_tokens(session: AsyncSession, before: datetime, labels: Labels) -> Some:
    """Access tokens of bots that may speak which end before an instant: the refresher should have renewed them."""
    found = await _rows(
        session,
        "SELECT count(*) AS count, min(token.expires_at) AS oldest,"
        " (array_agg('@' || bot.handle ORDER BY token.expires_at))[1\\:5] AS names"
        " FROM credentials AS token JOIN bots AS bot ON bot.id = token.bot_id"
        " WHERE token.kind = 'x_user_access' AND token.expires_at < :before AND bot.state = 'active'"
        " AND bears_one(bot, :labels)",
        labels,
        before=before,
    )
    return _some(found[0])


async def ending_keys(session: AsyncSession, before: datetime) -> Some:
    """API keys that serve now and end before an instant."""
    found = await session.execute(
        text(
            "SELECT count(*) AS count, min(key.ends_at) AS oldest,"
            " (array_agg(owner.username || '/' || key.name ORDER BY key.ends_at))[1\\:5] AS names"
            " FROM api_keys AS key JOIN users AS owner ON owner.id = key.user_id"
            " WHERE key.revoked_at IS NULL AND key.ends_at > (SELECT app_now()) AND key.ends_at < :before"
        ),
        {"before": before},
    )
    return _some(values(found.one()))


async def _posts(session: AsyncSession, condition: str, labels: Labels, **given: Any) -> dict[str, Some]:
    """Posts for which a condition, written in this file, holds, by status."""
    return _by_status(await _rows(session, _POSTS + condition + _OF_STATUS, labels, **given))


def _by_status(rows: Sequence[Mapping[str, Any]]) -> dict[str, Some]:
    return {row["status"]: _some(row) for row in rows}


def _some(row: Mapping[str, Any]) -> Some:
    return Some(row["count"], row["oldest"], tuple(row.get("names") or ()))


async def _rows(session: AsyncSession, statement: str, labels: Labels, **given: Any) -> list[dict[str, Any]]:
    bound = {"labels": None if labels is None else sorted(labels), **given}
    typed = text(statement).bindparams(bindparam("labels", type_=ARRAY(Text)))
    return [values(row) for row in await session.execute(typed, bound)]
