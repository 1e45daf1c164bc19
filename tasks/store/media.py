"""Media: pictures and films of bots, the posts that show them, and where they lie at X."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.media import Category, Kind, UploadedKey
from tasks.store.base import Id, Instant, app_now, metadata, new_id, values
from tasks.store.bots import bots, in_scope

media_assets = Table(
    "media_assets",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("file_name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("alt_text", Text),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
)
media_chunks = Table(
    "media_chunks",
    metadata,
    Column("asset_id", Id, ForeignKey("media_assets.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
post_media = Table(
    "post_media",
    metadata,
    Column("post_id", Id, ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True),
    Column("place", SmallInteger, primary_key=True),
    Column("asset_id", Id, ForeignKey("media_assets.id"), nullable=False),
)
media_uploads = Table(
    "media_uploads",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("post_id", Id, nullable=False),
    Column("place", SmallInteger, nullable=False),
    Column("started_at", Instant, nullable=False, server_default=app_now),
    Column("lease_until", Instant, nullable=False),
    Column("ended", Text),
    Column("problem", Text),
    Column("x_media_id", Text),
    Column("media_key", Text),
    Column("expires_at", Instant),
    Column("attempt_id", Id, ForeignKey("publish_attempts.id")),
    ForeignKeyConstraint(["post_id", "place"], ["post_media.post_id", "post_media.place"], ondelete="CASCADE"),
)


@dataclass(frozen=True)
class MediaAsset:
    """A picture or film of a bot, without its bytes."""

    id: UUID
    bot_id: UUID
    file_name: str
    media_type: str
    category: Category
    total_bytes: int
    alt_text: str | None


@dataclass(frozen=True)
class StoredAsset(MediaAsset):
    """As `MediaAsset`, with whose it is and when it came in."""

    bot: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class NeededUpload:
    """A picture or film that must lie at X before its post is due, under the lease of one upload."""

    upload_id: UUID
    post_id: UUID
    place: int
    bot_id: UUID
    handle: str
    planned_at: datetime
    asset_id: UUID
    media_type: str
    category: Category
    total_bytes: int
    alt_text: str | None


_ASSET = (
    media_assets.c.id,
    media_assets.c.bot_id,
    media_assets.c.file_name,
    media_assets.c.media_type,
    media_assets.c.category,
    media_assets.c.total_bytes,
    media_assets.c.alt_text,
)


async def add(
    session: AsyncSession,
    asset_id: UUID,
    bot_id: UUID,
    *,
    file_name: str,
    kind: Kind,
    total_bytes: int,
    sha256: bytes,
    alt_text: str | None,
    created_by: str,
) -> bool:
    """Insert what is known of a file; False where the bot has the same with the same alternative text."""
    statement = insert(media_assets).values(
        id=asset_id,
        bot_id=bot_id,
        file_name=file_name,
        media_type=kind.media_type,
        category=kind.category,
        total_bytes=total_bytes,
        sha256=sha256,
        alt_text=alt_text,
        created_by=created_by,
    )
    found = await session.execute(statement.on_conflict_do_nothing().returning(media_assets.c.id))
    return found.one_or_none() is not None


async def list_all(
    session: AsyncSession,
    within: Collection[str] | None,
    *,
    handle: str | None = None,
    after: UUID | None = None,
    limit: int,
) -> Sequence[StoredAsset]:
    """Files of bots within labels, of one of them or of all, the latest first; `after` is the id of one."""
    wanted = (
        select(*_ASSET, bots.c.handle.label("bot"), media_assets.c.created_by, media_assets.c.created_at)
        .join_from(media_assets, bots)
        .where(in_scope(within))
        # Ids of ours grow with time.
        .order_by(media_assets.c.id.desc())
        .limit(limit)
    )
    if handle is not None:
        wanted = wanted.where(func.lower(bots.c.handle) == handle.lower())
    if after is not None:
        wanted = wanted.where(media_assets.c.id < after)
    return [StoredAsset(**values(row)) for row in await session.execute(wanted)]


async def add_chunk(session: AsyncSession, asset_id: UUID, place: int, content: bytes) -> None:
    """Insert one piece of a file."""
    await session.execute(insert(media_chunks).values(asset_id=asset_id, place=place, content=content))


async def chunk(session: AsyncSession, asset_id: UUID, place: int) -> bytes | None:
    """One piece of a file, counted from 0; None behind the last."""
    wanted = select(media_chunks.c.content).where(media_chunks.c.asset_id == asset_id, media_chunks.c.place == place)
    row = (await session.execute(wanted)).one_or_none()
    return bytes(row.content) if row else None


async def same(session: AsyncSession, bot_id: UUID, sha256: bytes, alt_text: str | None) -> MediaAsset:
    """What a bot has with these bytes and this alternative text."""
    wanted = select(*_ASSET).where(
        media_assets.c.bot_id == bot_id,
        media_assets.c.sha256 == sha256,
        func.coalesce(media_assets.c.alt_text, "") == (alt_text or ""),
    )
    return MediaAsset(**values((await session.execute(wanted)).one()))


async def assets(session: AsyncSession, asset_ids: Collection[UUID]) -> dict[UUID, MediaAsset]:
    """What is known of these files, by id."""
    if not asset_ids:
        return {}
    found = await session.execute(select(*_ASSET).where(media_assets.c.id.in_(asset_ids)))
    return {row.id: MediaAsset(**values(row)) for row in found}


async def attach(session: AsyncSession, wanted: Mapping[UUID, Sequence[UUID]]) -> None:
    """Say which files each post shows, in order."""
    rows = [
        {"post_id": post_id, "place": place, "asset_id": asset_id}
        for post_id, asset_ids in wanted.items()
        for place, asset_id in enumerate(asset_ids, start=1)
    ]
    if rows:
        await session.execute(insert(post_media), rows)


async def of_post(session: AsyncSession, post_id: UUID) -> Sequence[MediaAsset]:
    """What a post shows, in order."""
    wanted = select(*_ASSET).join_from(media_assets, post_media).where(post_media.c.post_id == post_id)
    return [MediaAsset(**values(row)) for row in await session.execute(wanted.order_by(post_media.c.place))]


# A post is looked at from `ahead` before it is planned; one whose last upload failed is tried again after `pause`.
_TAKE_NEEDED = text(
    """
    WITH needed AS (
        SELECT post.id AS post_id, shown.place, post.bot_id, bot.handle, post.planned_at, shown.asset_id
        FROM posts AS post
        JOIN post_media AS shown ON shown.post_id = post.id
        JOIN bots AS bot ON bot.id = post.bot_id
        WHERE post.media_count > 0 AND post.status = 'scheduled' AND bot.state = 'active' AND NOT silenced(bot)
            AND post.next_at <= (SELECT app_now() + :ahead)
            AND NOT EXISTS (
                SELECT 1 FROM media_uploads AS upload WHERE upload.post_id = post.id AND upload.place = shown.place
                    AND ((upload.ended IS NULL AND upload.lease_until > (SELECT app_now()))
                        OR (upload.ended = 'failed' AND upload.lease_until > (SELECT app_now()))
                        OR (upload.ended = 'ready' AND upload.attempt_id IS NULL
                            AND upload.expires_at > (SELECT app_now() + :fresh))))
        ORDER BY post.next_at, shown.place
        LIMIT :limit
        FOR UPDATE OF shown SKIP LOCKED
    ), begun AS (
        INSERT INTO media_uploads (post_id, place, lease_until)
        SELECT post_id, place, app_now() + :lease FROM needed
        RETURNING id, post_id, place
    )
    SELECT begun.id AS upload_id, needed.*, asset.media_type, asset.category, asset.total_bytes, asset.alt_text
    FROM begun JOIN needed USING (post_id, place) JOIN media_assets AS asset ON asset.id = needed.asset_id
    """
)


async def take_needed(
    session: AsyncSession, *, ahead: timedelta, fresh: timedelta, lease: timedelta, limit: int
) -> Sequence[NeededUpload]:
    """Begin uploads for posts planned within `ahead`, of what does not lie at X for at least `fresh` more."""
    given = {"ahead": ahead, "fresh": fresh, "lease": lease, "limit": limit}
    return [NeededUpload(**values(row)) for row in await session.execute(_TAKE_NEEDED, given)]


async def lies_at_x(session: AsyncSession, upload_id: UUID, key: UploadedKey, lives: timedelta) -> None:
    """Note where an upload lies, and for how long."""
    await session.execute(
        update(media_uploads)
        .where(media_uploads.c.id == upload_id)
        .values(ended="ready", x_media_id=key.x_media_id, media_key=key.media_key, expires_at=app_now + lives)
    )


async def failed(session: AsyncSession, upload: NeededUpload, problem: str, pause: timedelta) -> None:
    """Note why an upload came to nothing; it is tried again after `pause`, and the post says so meanwhile."""
    await session.execute(
        update(media_uploads)
        .where(media_uploads.c.id == upload.upload_id)
        .values(ended="failed", problem=problem, lease_until=app_now + pause)
    )
    await session.execute(
        text("UPDATE posts SET reason = :reason, updated_at = app_now() WHERE id = :post_id AND status = 'scheduled'"),
        {"post_id": upload.post_id, "reason": f"media {upload.place}: {problem}"},
    )


async def use(session: AsyncSession, attempts: Mapping[UUID, UUID]) -> None:
    """Give the uploads of marked posts to their attempts (by post id): from then on they are no other's."""
    await session.execute(
        text(
            """
            UPDATE media_uploads AS upload SET attempt_id = item.attempt_id
            FROM unnest(CAST(:posts AS uuid[]), CAST(:attempts AS uuid[])) AS item (post_id, attempt_id)
            WHERE upload.post_id = item.post_id AND upload.ended = 'ready' AND upload.attempt_id IS NULL
            """
        ),
        {"posts": list(attempts), "attempts": list(attempts.values())},
    )
