"""Apps on X's developer platform, one production app a use case."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Column, Numeric, Table, Text, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values

x_apps = Table(
    "x_apps",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("name", Text, nullable=False, unique=True),
    Column("use_case", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("monthly_budget_usd", Numeric(12, 4)),
    Column("created_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class AppRow:
    """An app as it stands; its client secret lies in the vault."""

    id: UUID
    name: str
    use_case: str
    stage: str
    client_id: str
    redirect_uri: str
    monthly_budget_usd: Decimal | None


_SELECTED = select(
    x_apps.c.id,
    x_apps.c.name,
    x_apps.c.use_case,
    x_apps.c.stage,
    x_apps.c.client_id,
    x_apps.c.redirect_uri,
    x_apps.c.monthly_budget_usd,
)


async def put(
    session: AsyncSession, *, name: str, use_case: str, stage: str, client_id: str, redirect_uri: str
) -> UUID:
    """Insert or change by name; raises IntegrityError where another production app has the use case."""
    statement = insert(x_apps).values(
        name=name, use_case=use_case, stage=stage, client_id=client_id, redirect_uri=redirect_uri
    )
    changed = statement.on_conflict_do_update(
        index_elements=[x_apps.c.name],
        set_={
            "use_case": statement.excluded.use_case,
            "stage": statement.excluded.stage,
            "client_id": statement.excluded.client_id,
            "redirect_uri": statement.excluded.redirect_uri,
        },
    ).returning(x_apps.c.id)
    found: UUID = (await session.execute(changed)).scalar_one()
    return found


async def get(session: AsyncSession, app_id: UUID) -> AppRow | None:
    """One app, or None."""
    row = (await session.execute(_SELECTED.where(x_apps.c.id == app_id))).one_or_none()
    return AppRow(**values(row)) if row else None


async def list_all(session: AsyncSession) -> Sequence[AppRow]:
    """Every app, by name."""
    return [AppRow(**values(row)) for row in await session.execute(_SELECTED.order_by(x_apps.c.name))]


_SET_BUDGET = text(
    """
    WITH app AS (UPDATE x_apps SET monthly_budget_usd = :usd WHERE name = :name RETURNING id), released AS (
        UPDATE posts SET next_at = app_now(), updated_at = app_now() FROM bots AS bot
        WHERE bot.id = posts.bot_id AND bot.x_app_id = (SELECT id FROM app) AND posts.status = 'scheduled'
            AND posts.planned_at <= (SELECT app_now()) AND posts.next_at >= next_month((SELECT app_now()))
    )
    SELECT id FROM app
    """
)


async def set_budget(session: AsyncSession, name: str, usd: Decimal | None) -> bool:
    """What an app may cost in a month, None without end; posts that waited for the next month are due at once.

    False where there is no app of this name.
    """
    return (await session.execute(_SET_BUDGET, {"name": name, "usd": usd})).first() is not None
