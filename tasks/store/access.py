"""People and programs that call us: users, their roles, their keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, Text, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.roles import Grant, Role
from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("username", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
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

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("ends_at", Instant),
    Column("revoked_at", Instant),
)


@dataclass(frozen=True)
class UserRow:
    """A person, with the hash of the password and the roles that are in force now."""

    id: UUID
    username: str
    password_hash: str
    grants: frozenset[Grant]


@dataclass(frozen=True)
class KeyRow:
    """A program's key, with its owner and the owner's roles that are in force now."""

    id: UUID
    name: str
    secret_sha256: bytes
    user_id: UUID
    username: str
    grants: frozenset[Grant]


_grants = (
    select(func.jsonb_agg(func.jsonb_build_array(role_bindings.c.role, role_bindings.c.label), type_=Json))
    .where(
        role_bindings.c.user_id == users.c.id,
        or_(role_bindings.c.ends_at.is_(None), role_bindings.c.ends_at > app_now),
    )
    .scalar_subquery()
    .label("grants")
)


async def put_user(session: AsyncSession, username: str, password_hash: str, role: str) -> UUID:
    """Insert a user, or change the hash of one that stands; the role is bound once."""
    statement = insert(users).values(username=username, password_hash=password_hash)
    user_id: UUID = (
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=[users.c.username], set_={"password_hash": statement.excluded.password_hash}
            ).returning(users.c.id)
        )
    ).scalar_one()
    await session.execute(insert(role_bindings).values(user_id=user_id, role=role).on_conflict_do_nothing())
    return user_id


async def user_by_name(session: AsyncSession, username: str) -> UserRow | None:
    """A user who is not disabled, or None."""
    wanted = select(users.c.id, users.c.username, users.c.password_hash, _grants).where(
        users.c.username == username, users.c.disabled_at.is_(None)
    )
    row = (await session.execute(wanted)).one_or_none()
    return UserRow(row.id, row.username, row.password_hash, known(row.grants)) if row else None


async def replace_key(session: AsyncSession, user_id: UUID, name: str, secret_sha256: bytes) -> UUID:
    """Revoke a user's key of this name, if there is one, and insert the new one."""
    await session.execute(
        update(api_keys)
        .where(api_keys.c.user_id == user_id, api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=app_now)
    )
    found: UUID = (
        await session.execute(
            insert(api_keys).values(user_id=user_id, name=name, secret_sha256=secret_sha256).returning(api_keys.c.id)
        )
    ).scalar_one()
    return found


async def key_by_id(session: AsyncSession, key_id: UUID) -> KeyRow | None:
    """A key in force of a user who is not disabled, or None."""
    wanted = (
        select(
            api_keys.c.id,
            api_keys.c.name,
            api_keys.c.secret_sha256,
            users.c.id.label("user_id"),
            users.c.username,
            _grants,
        )
        .join_from(api_keys, users)
        .where(
            api_keys.c.id == key_id,
            api_keys.c.revoked_at.is_(None),
            users.c.disabled_at.is_(None),
            or_(api_keys.c.ends_at.is_(None), api_keys.c.ends_at > app_now),
        )
    )
    row = (await session.execute(wanted)).one_or_none()
    if row is None:
        return None
    return KeyRow(row.id, row.name, bytes(row.secret_sha256), row.user_id, row.username, known(row.grants))


def known(found: Sequence[Any] | None) -> frozenset[Grant]:
    """Roles that this release has; a name it does not know grants nothing."""
    return frozenset(Grant(role, label) for role, label in found or () if role in get_args(Role))
