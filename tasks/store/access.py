"""People and programs that call us: users and the roles that bind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.roles import Grant, Role
from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id, real_seconds_until, values

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("username", Text, nullable=False),
    Column("password_hash", Text),
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("disabled_at", Instant),
)

role_bindings = Table(
    "role_bindings",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("label", Text),
    Column("ends_at", Instant),
    Column("created_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class UserRow:
    """A person or program, with the roles that are in force now.

    `password_hash` is None until a password was chosen; tokens of another `generation` are void. `stand_seconds`: for
    how long no role ends by its date; None where none does.
    """

    id: UUID
    username: str
    password_hash: str | None
    generation: int
    created_at: datetime
    disabled_at: datetime | None
    grants: frozenset[Grant]
    stand_seconds: float | None


@dataclass(frozen=True)
class BindingRow:
    """A role that a user holds, for everything or for one label, for good or until `ends_at`."""

    user_id: UUID
    username: str
    role: Role
    label: str | None
    ends_at: datetime | None
    created_at: datetime


# The roles in force of the row of `users` that a statement stands on.
grants = (
    select(func.jsonb_agg(func.jsonb_build_array(role_bindings.c.role, role_bindings.c.label), type_=Json))
    .where(
        role_bindings.c.user_id == users.c.id,
        or_(role_bindings.c.ends_at.is_(None), role_bindings.c.ends_at > app_now),
    )
    .scalar_subquery()
    .label("grants")
)
# When the first of them ends by its date.
first_end = (
    select(func.min(role_bindings.c.ends_at))
    .where(role_bindings.c.user_id == users.c.id, role_bindings.c.ends_at > app_now)
    .scalar_subquery()
)
_USERS = select(*users.c, grants, real_seconds_until(first_end).label("stand_seconds"))
_BINDINGS = select(
    role_bindings.c.user_id,
    users.c.username,
    role_bindings.c.role,
    role_bindings.c.label,
    role_bindings.c.ends_at,
    role_bindings.c.created_at,
).join_from(role_bindings, users)


async def add_user(session: AsyncSession, username: str, password_hash: str | None) -> UUID | None:
    """Insert a user; None where the name is taken."""
    statement = insert(users).values(username=username, password_hash=password_hash)
    found: UUID | None = (
        await session.execute(statement.on_conflict_do_nothing().returning(users.c.id))
    ).scalar_one_or_none()
    return found


async def user_by_name(session: AsyncSession, username: str) -> UserRow | None:
    """A user, disabled or not, or None."""
    return _user((await session.execute(_USERS.where(users.c.username == username))).one_or_none())


async def user_by_id(session: AsyncSession, user_id: UUID, lock: bool = False) -> UserRow | None:
    """As `user_by_name`; with `lock` the row is held until the transaction ends."""
    wanted = _USERS.where(users.c.id == user_id)
    return _user((await session.execute(wanted.with_for_update(of=users) if lock else wanted)).one_or_none())


async def list_users(session: AsyncSession) -> Sequence[UserRow]:
    """Every user, by name."""
    found = await session.execute(_USERS.order_by(users.c.username))
    return [user for row in found if (user := _user(row))]


async def change_user(session: AsyncSession, user_id: UUID, **changed: Any) -> None:
    """Change fields of a user; every access token given out so far is void."""
    await session.execute(
        update(users).where(users.c.id == user_id).values(**changed, generation=users.c.generation + 1)
    )


async def disable(session: AsyncSession, user_id: UUID) -> None:
    """Let a user in no more; one who is disabled stays so since then."""
    await change_user(session, user_id, disabled_at=func.coalesce(users.c.disabled_at, app_now))


async def bind(session: AsyncSession, user_id: UUID, role: Role, label: str | None, ends_at: datetime | None) -> None:
    """Bind a user to a role, or change when that ends."""
    statement = insert(role_bindings).values(user_id=user_id, role=role, label=label, ends_at=ends_at)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[role_bindings.c.user_id, role_bindings.c.role, text("coalesce(label, '')")],
            set_={"ends_at": statement.excluded.ends_at},
        )
    )


async def unbind(session: AsyncSession, user_id: UUID, role: Role, label: str | None) -> bool:
    """Take a role from a user; False where it was not there."""
    found = await session.execute(
        delete(role_bindings)
        .where(
            role_bindings.c.user_id == user_id,
            role_bindings.c.role == role,
            role_bindings.c.label.is_not_distinct_from(label),
        )
        .returning(role_bindings.c.id)
    )
    return found.one_or_none() is not None


async def unbind_all(session: AsyncSession, user_id: UUID) -> Sequence[tuple[Role, str | None]]:
    """Take every role from a user; answers what there was."""
    found = await session.execute(
        delete(role_bindings)
        .where(role_bindings.c.user_id == user_id)
        .returning(role_bindings.c.role, role_bindings.c.label)
    )
    return sorted(((row.role, row.label) for row in found), key=lambda pair: (pair[0], pair[1] or ""))


async def bindings(session: AsyncSession, user_id: UUID | None = None) -> Sequence[BindingRow]:
    """What binds one user, or all, by name; ended ones among them."""
    wanted = _BINDINGS.order_by(users.c.username, role_bindings.c.role, role_bindings.c.label)
    if user_id is not None:
        wanted = wanted.where(role_bindings.c.user_id == user_id)
    return [BindingRow(**values(row)) for row in await session.execute(wanted)]


async def lock_admins(session: AsyncSession) -> None:
    """Nobody else changes who the admins are until the transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.ADMINS})


_ADMINS = text(
    """
    SELECT count(*) FROM users WHERE disabled_at IS NULL
        AND EXISTS (SELECT 1 FROM role_bindings AS binding WHERE binding.user_id = users.id
            AND binding.role = 'admin' AND binding.label IS NULL AND binding.ends_at IS NULL)
        AND (password_hash IS NOT NULL OR EXISTS (SELECT 1 FROM api_keys AS key WHERE key.user_id = users.id
            AND key.revoked_at IS NULL AND key.ends_at IS NULL AND key.role IS NULL AND key.label IS NULL))
    """
)


async def admins(session: AsyncSession) -> int:
    """Users who are admin of everything for good, and can get in."""
    found: int = (await session.execute(_ADMINS)).scalar_one()
    return found


def known(found: Sequence[Any] | None) -> frozenset[Grant]:
    """Roles that this release has; a name it does not know grants nothing."""
    return frozenset(Grant(role, label) for role, label in found or () if role in get_args(Role))


def _user(row: Any) -> UserRow | None:
    return UserRow(**{**values(row), "grants": known(row.grants)}) if row else None
