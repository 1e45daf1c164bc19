"""The inventory of what lies in the vault: where, which version, until when; never the secret."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Column, ForeignKey, Integer, Table, Text, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values
from tasks.store.bots import bots, in_scope
from tasks.store.x_apps import x_apps

credentials = Table(
    "credentials",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("kind", Text, nullable=False),
    Column("bot_id", Id, ForeignKey("bots.id")),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("service", Text),
    Column("vault_path", Text, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("lease_epoch", Integer, nullable=False, server_default="0"),
    Column("lease_until", Instant),
)

_refresh_token = credentials.c.kind == "x_user_refresh"


@dataclass(frozen=True)
class Lease:
    """The right to refresh one token for a while; a lease taken later has a higher epoch."""

    credential_id: UUID
    epoch: int


@dataclass(frozen=True)
class InventoryRow:
    """A credential and whose it is: `@handle`, an app's name or a service's."""

    id: UUID
    kind: str
    owner: str
    bot_id: UUID | None
    bot_state: str | None
    x_app_id: UUID | None
    version: int
    issued_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class TokenRow:
    """A bot's access token as the inventory knows it; what works is what the vault says."""

    bot_id: UUID
    handle: str
    issued_at: datetime
    expires_at: datetime


async def put(
    session: AsyncSession,
    *,
    kind: str,
    vault_path: str,
    version: int,
    issued_at: datetime,
    expires_at: datetime | None = None,
    bot_id: UUID | None = None,
    x_app_id: UUID | None = None,
    service: str | None = None,
    scopes: Sequence[str] | None = None,
) -> UUID:
    """Note a new version; an older one never takes the place of a newer. None as `scopes` leaves what was noted.

    Answers the id under which the inventory knows what lies at this path.
    """
    statement = insert(credentials).values(
        kind=kind,
        bot_id=bot_id,
        x_app_id=x_app_id,
        service=service,
        vault_path=vault_path,
        version=version,
        scopes=list(scopes or ()),
        issued_at=issued_at,
        expires_at=expires_at,
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[credentials.c.vault_path],
            set_={
                # A bot that signed with OAuth 1.0a may come back with OAuth 2, at the same path.
                "kind": statement.excluded.kind,
                "service": statement.excluded.service,
                "version": statement.excluded.version,
                "scopes": credentials.c.scopes if scopes is None else statement.excluded.scopes,
                "issued_at": statement.excluded.issued_at,
                "expires_at": statement.excluded.expires_at,
            },
            where=credentials.c.version < statement.excluded.version,
        )
    )
    found = await session.execute(select(credentials.c.id).where(credentials.c.vault_path == vault_path))
    return UUID(str(found.scalar_one()))


async def can_refresh(session: AsyncSession, bot_id: UUID) -> bool:
    """Whether a refresh token was ever noted for this bot."""
    found = await session.execute(select(credentials.c.id).where(credentials.c.bot_id == bot_id, _refresh_token))
    return found.one_or_none() is not None


async def lease(session: AsyncSession, bot_id: UUID, seconds: float) -> Lease | None:
    """Take the lease of a bot's refresh token for so many real seconds; None where another holds it or there is none.

    The condition is on the row that is changed, so one that waited for it judges by its newest version.
    """
    row = (
        await session.execute(
            update(credentials)
            .where(
                credentials.c.bot_id == bot_id,
                _refresh_token,
                or_(credentials.c.lease_until.is_(None), credentials.c.lease_until <= app_now),
            )
            .values(lease_epoch=credentials.c.lease_epoch + 1, lease_until=app_now + func.app_span(seconds))
            .returning(credentials.c.id, credentials.c.lease_epoch)
        )
    ).one_or_none()
    return Lease(row.id, row.lease_epoch) if row else None


async def lock(session: AsyncSession, held: Lease) -> None:
    """Hold the lease's row until the transaction ends, so that what the next statement sees of it stays so."""
    await session.execute(select(credentials.c.id).where(credentials.c.id == held.credential_id).with_for_update())


async def release(session: AsyncSession, held: Lease) -> None:
    """Give a lease back, unless another was taken meanwhile."""
    await session.execute(
        update(credentials)
        .where(credentials.c.id == held.credential_id, credentials.c.lease_epoch == held.epoch)
        .values(lease_until=None)
    )


async def expiring(session: AsyncSession, within: timedelta) -> Sequence[TokenRow]:
    """Access tokens that end within this time or have ended, of bots that are active or paused."""
    found = await session.execute(
        select(credentials.c.bot_id, bots.c.handle, credentials.c.issued_at, credentials.c.expires_at)
        .join_from(credentials, bots)
        .where(
            credentials.c.kind == "x_user_access",
            credentials.c.expires_at <= app_now + within,
            bots.c.state.in_(("active", "paused")),
        )
        .order_by(credentials.c.expires_at)
    )
    return [TokenRow(**values(row)) for row in found]


async def newest(session: AsyncSession, ends: Mapping[UUID, datetime]) -> list[UUID]:
    """Those of these bots for whom no access token is noted that ends later than the given instant."""
    noted = await session.execute(
        select(credentials.c.bot_id, credentials.c.expires_at).where(
            credentials.c.kind == "x_user_access", credentials.c.bot_id.in_(ends)
        )
    )
    later = {row.bot_id for row in noted if row.expires_at > ends[row.bot_id]}
    return [bot_id for bot_id in ends if bot_id not in later]


async def inventory(session: AsyncSession, within: Collection[str] | None) -> Sequence[InventoryRow]:
    """Every credential in the vault; with labels, those of bots that bear one of them."""
    wanted = (
        select(
            credentials.c.id,
            credentials.c.kind,
            # The last part of a service's path is its name.
            func.coalesce(
                literal("@") + bots.c.handle, x_apps.c.name, func.split_part(credentials.c.vault_path, "/", -1)
            ).label("owner"),
            credentials.c.bot_id,
            bots.c.state.label("bot_state"),
            credentials.c.x_app_id,
            credentials.c.version,
            credentials.c.issued_at,
            credentials.c.expires_at,
        )
        .join_from(credentials, bots, credentials.c.bot_id == bots.c.id, isouter=True)
        .join(x_apps, credentials.c.x_app_id == x_apps.c.id, isouter=True)
        .where(in_scope(within))
        .order_by(credentials.c.kind, credentials.c.vault_path)
    )
    return [InventoryRow(**values(row)) for row in await session.execute(wanted)]


async def hold(session: AsyncSession, credential_id: UUID) -> None:
    """Hold a row until the transaction ends, so that of two who decide about it the second sees the first."""
    await session.execute(select(credentials.c.id).where(credentials.c.id == credential_id).with_for_update())
