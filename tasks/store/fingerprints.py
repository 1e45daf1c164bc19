"""What the fleet says, as the gate compares it: by which posts are found that say or carry the same."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import Id, Instant, app_now, metadata, values

text_fingerprints = Table(
    "text_fingerprints",
    metadata,
    Column("post_id", Id, ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True),
    Column("bot_id", Id, nullable=False),
    Column("bands", ARRAY(Integer), nullable=False),
    Column("carried", ARRAY(Text), nullable=False, comment="links, hashtags and quoted posts"),
    Column(
        "made_at",
        Instant,
        nullable=False,
        server_default=app_now,
        comment="since when it says this: of two that are alike the younger is refused",
    ),
)

# Alike posts of one account are few, of a fleet's template many: those with most in common tell.
CANDIDATES_MAX = 20


@dataclass(frozen=True)
class Print:
    """What one post says, as others are compared with it."""

    post_id: UUID
    bot_id: UUID
    bands: Sequence[int]
    carried: Sequence[str]


@dataclass(frozen=True)
class Alike:
    """A post that says, or carries, something of what the post in this `place` does."""

    place: int
    handle: str
    text: str
    planned_at: datetime


_LOCK = text("SELECT pg_advisory_xact_lock(:kind, stripe) FROM unnest(CAST(:stripes AS integer[])) AS one (stripe)")


async def lock(session: AsyncSession, stripes: Sequence[int]) -> None:
    """Let nobody else judge what could be alike, until the transaction ends; in the order of the stripes.

    Take it before any row: whoever judges holds it first.
    """
    await session.execute(_LOCK, {"kind": AdvisoryLock.ALIKE, "stripes": sorted(set(stripes))})


# A post that was there first stands against a younger one alone: what is judged anew under another policy is not
# refused for a twin that came after it. Whose words are new is the youngest of all, and so is a draft that is
# released.
_GIVEN = """
    WITH given AS MATERIALIZED (
        SELECT item.*, mine.made_at
        FROM json_to_recordset(CAST(:given AS json)) AS item (
            place integer, post_id uuid, bot_id uuid, planned_at timestamptz, bands integer[], carried text[])
        LEFT JOIN text_fingerprints AS mine
            ON mine.post_id = item.post_id AND mine.bands = item.bands AND mine.carried = item.carried
            AND EXISTS (SELECT 1 FROM posts AS own WHERE own.id = item.post_id AND own.status <> 'draft')
    )
"""
_STANDS = """
    other.post_id <> given.post_id
    AND (given.made_at IS NULL OR (other.made_at, other.post_id) < (given.made_at, given.post_id))
    AND post.status NOT IN ('draft', 'rejected', 'refused', 'cancelled', 'expired')
"""
_ALIKE_OTHERS = """
    SELECT given.place, found.handle, found.text, found.planned_at FROM given
    CROSS JOIN LATERAL (
        SELECT bot.handle, post.text, post.planned_at
        FROM text_fingerprints AS other
        JOIN posts AS post ON post.id = other.post_id
        JOIN bots AS bot ON bot.id = other.bot_id
        WHERE other.bands && given.bands AND post.planned_at > (SELECT app_now() - :back)
            AND (other.bot_id <> given.bot_id OR other.bands = given.bands)
            AND
"""
_MOST_ALIKE = """
        ORDER BY (SELECT count(*) FROM unnest(other.bands) AS band WHERE band = ANY (given.bands)) DESC,
            abs(extract(epoch FROM post.planned_at - given.planned_at))
        LIMIT :most
    ) AS found
"""
_OTHER_CARRIERS = """
    SELECT DISTINCT given.place, thing, lower(bot.handle) AS handle FROM given
    JOIN text_fingerprints AS other ON other.carried && given.carried AND other.bot_id <> given.bot_id
    JOIN posts AS post ON post.id = other.post_id
    JOIN bots AS bot ON bot.id = other.bot_id
    CROSS JOIN LATERAL unnest(other.carried) AS carries (thing)
    WHERE thing = ANY (given.carried)
        AND post.planned_at BETWEEN given.planned_at - :around AND given.planned_at + :around
        AND
"""
_ALIKE = text(_GIVEN + _ALIKE_OTHERS + _STANDS + _MOST_ALIKE)
_CARRIED = text(_GIVEN + _OTHER_CARRIERS + _STANDS)


async def alike(
    session: AsyncSession, wanted: Sequence[Print], planned: Sequence[datetime], back: timedelta
) -> Sequence[Alike]:
    """Posts of the time `back` and later that share a band with those wanted, of the same bot only the very same."""
    given = _given(wanted, planned, lambda one: bool(one.bands))
    found = await session.execute(_ALIKE, {"given": given, "back": back, "most": CANDIDATES_MAX})
    return [Alike(**values(row)) for row in found]


async def carriers(
    session: AsyncSession, wanted: Sequence[Print], planned: Sequence[datetime], around: timedelta
) -> Mapping[tuple[int, str], set[str]]:
    """Which other bots carry the same thing within this time before or after: handles by (place, thing)."""
    handles: dict[tuple[int, str], set[str]] = {}
    given = _given(wanted, planned, lambda one: bool(one.carried))
    for row in await session.execute(_CARRIED, {"given": given, "around": around}):
        handles.setdefault((row.place, row.thing), set()).add(row.handle)
    return handles


def _given(wanted: Sequence[Print], planned: Sequence[datetime], counts: Callable[[Print], bool]) -> str:
    rows = [
        {
            "place": place,
            "post_id": str(one.post_id),
            "bot_id": str(one.bot_id),
            "planned_at": planned[place].isoformat(),
            "bands": list(one.bands),
            "carried": list(one.carried),
        }
        for place, one in enumerate(wanted)
        if counts(one)
    ]
    return json.dumps(rows)


_PUT = text(
    """
    INSERT INTO text_fingerprints AS mine (post_id, bot_id, bands, carried)
    VALUES (:post_id, :bot_id, :bands, :carried)
    ON CONFLICT (post_id) DO UPDATE SET bands = excluded.bands, carried = excluded.carried, made_at = app_now()
    WHERE (mine.bands, mine.carried) IS DISTINCT FROM (excluded.bands, excluded.carried)
    """
)


async def put(session: AsyncSession, prints: Sequence[Print]) -> None:
    """Keep what posts say; one that says the same as before keeps its age."""
    if prints:
        rows = [
            {"post_id": p.post_id, "bot_id": p.bot_id, "bands": list(p.bands), "carried": list(p.carried)}
            for p in prints
        ]
        await session.execute(_PUT, rows)


@dataclass(frozen=True)
class Unprinted:
    """A post that nobody compares with yet."""

    post_id: UUID
    bot_id: UUID
    text: str
    quote_x_post_id: str | None


_UNPRINTED = text(
    """
    SELECT post.id AS post_id, post.bot_id, post.text, post.quote_x_post_id FROM posts AS post
    WHERE post.planned_at > (SELECT app_now() - :back)
        AND post.status IN ('awaiting_approval', 'scheduled', 'claimed', 'sending', 'published', 'unknown', 'held')
        AND NOT EXISTS (SELECT 1 FROM text_fingerprints AS mine WHERE mine.post_id = post.id)
    ORDER BY post.id LIMIT :limit
    """
)


async def unprinted(session: AsyncSession, back: timedelta, limit: int) -> Sequence[Unprinted]:
    """The oldest posts of this time that have no fingerprint: they were made by a release that kept none."""
    found = await session.execute(_UNPRINTED, {"back": back, "limit": limit})
    return [Unprinted(**values(row)) for row in found]


_ANSWERED = text(
    """
    SELECT DISTINCT ON (given.post_id) given.post_id, bot.handle
    FROM unnest(CAST(:post_ids AS uuid[]), CAST(:targets AS text[])) AS given (post_id, target)
    JOIN posts AS other ON other.reply_to_x_post_id = given.target AND other.id < given.post_id
    JOIN bots AS bot ON bot.id = other.bot_id
    WHERE other.status NOT IN ('draft', 'rejected', 'refused', 'cancelled', 'expired')
    ORDER BY given.post_id, other.id
    """
)


async def answered(session: AsyncSession, targets: Mapping[UUID, str]) -> Mapping[UUID, str]:
    """Who of the fleet answers the same post of X already, by the post that would answer it again."""
    if not targets:
        return {}
    given = {"post_ids": list(targets), "targets": list(targets.values())}
    return {row.post_id: row.handle for row in await session.execute(_ANSWERED, given)}


_WRITERS = text(
    """
    SELECT post.x_post_id, bot.handle FROM posts AS post JOIN bots AS bot ON bot.id = post.bot_id
    WHERE post.x_post_id = ANY (CAST(:x_post_ids AS text[]))
    """
)


async def writers(session: AsyncSession, x_post_ids: Sequence[str]) -> Mapping[str, str]:
    """Which bot of the fleet wrote these posts of X; those of others are absent."""
    if not x_post_ids:
        return {}
    found = await session.execute(_WRITERS, {"x_post_ids": list(x_post_ids)})
    return {row.x_post_id: row.handle for row in found}
