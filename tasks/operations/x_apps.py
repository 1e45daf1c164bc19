"""Apps on X's developer platform: what is theirs to tell goes to Postgres, their secret to the vault."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from tasks.connections import Connections
from tasks.domain.credentials import client_path
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.store import base, credentials, x_apps
from tasks.store.x_apps import AppRow


class NoSuchAppError(LookupError):
    """There is no app of this name."""


class UseCaseTakenError(RuntimeError):
    """X allows one production app for a use case, and another app has it."""


async def put(
    at: Connections,
    actor: Actor,
    *,
    name: str,
    use_case: str,
    stage: str,
    client_id: str,
    client_secret: SecretStr | None,
    redirect_uri: str,
) -> UUID:
    """Add an app, or change the one of this name; without a secret it is a public client.

    The row comes first: an app whose secret did not reach the vault shows when a bot signs in, and putting it again
    mends it.
    """
    try:
        async with at.transaction() as session:
            app_id = await x_apps.put(
                session, name=name, use_case=use_case, stage=stage, client_id=client_id, redirect_uri=redirect_uri
            )
            told = {"use_case": use_case, "stage": stage, "client_id": client_id, "redirect_uri": redirect_uri}
            await activity.note(session, actor, "apps.put", name, "security", after=told)
    except IntegrityError as error:
        raise UseCaseTakenError(
            f"another production app has the use case '{use_case}'; X allows one app for each use case"
        ) from error
    data = {"client_id": client_id}
    if client_secret is not None:
        data["client_secret"] = client_secret.get_secret_value()
    version = await asyncio.to_thread(at.kv.write, client_path(app_id), data, None)
    async with at.transaction() as session:
        await credentials.put(
            session,
            kind="x_app_client",
            vault_path=client_path(app_id),
            version=version,
            issued_at=await base.now(session),
            x_app_id=app_id,
        )
    return app_id


async def set_budget(at: Connections, actor: Actor, name: str, usd: Decimal | None) -> None:
    """What an app may cost in a month, None without end; raises NoSuchAppError."""
    async with at.transaction() as session:
        if not await x_apps.set_budget(session, name, usd):
            raise NoSuchAppError(name)
        after = {"monthly_budget_usd": None if usd is None else str(usd)}
        await activity.note(session, actor, "apps.budget", name, after=after)


async def list_all(at: Connections) -> Sequence[AppRow]:
    """Every app, by name."""
    async with at.transaction() as session:
        return await x_apps.list_all(session)
