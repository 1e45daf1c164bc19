"""The inventory of what lies in the vault: where, which version, until when; never the secret."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Column, ForeignKey, Integer, Table, Text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, metadata, new_id

credentials = Table(
    "credentials",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("kind", Text, nullable=False),
    Column("bot_id", Id, ForeignKey("bots.id")),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("vault_path", Text, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant),
)


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
    scopes: tuple[str, ...] = (),
) -> None:
    """Note a new version; an older one never takes the place of a newer."""
    statement = insert(credentials).values(
        kind=kind,
        bot_id=bot_id,
        x_app_id=x_app_id,
        vault_path=vault_path,
        version=version,
        scopes=list(scopes),
        issued_at=issued_at,
        expires_at=expires_at,
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[credentials.c.vault_path],
            set_={
                "version": statement.excluded.version,
                "scopes": statement.excluded.scopes,
                "issued_at": statement.excluded.issued_at,
                "expires_at": statement.excluded.expires_at,
            },
            where=credentials.c.version < statement.excluded.version,
        )
    )
