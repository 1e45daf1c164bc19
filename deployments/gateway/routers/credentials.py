"""Credentials of bots, apps and services: what there is, what is due; no secret leaves but one, once, with a reason."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.credentials import State
from tasks.domain.roles import Actor
from tasks.operations import inventory
from tasks.operations.rotation import recipe, x_app_keys

router = APIRouter(prefix="/credentials", tags=["credentials"])


class EntryView(BaseModel):
    """A credential without its secret; `next_at` is when it is changed by itself."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    owner: str
    version: int
    issued_at: datetime
    expires_at: datetime | None
    rotated_at: datetime | None
    next_at: datetime | None
    state: State
    said: str | None


class PlannedView(BaseModel):
    """A step that is or falls due, and what stops where the credential breaks."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    owner: str
    step: str
    due_at: datetime | None
    serves: str


class Reveal(BaseModel):
    """Which secret is to be shown, and why; the reason is audited."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["x_app_client"]
    owner: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Annotated[str, Field(min_length=3, max_length=500)]


class RevealedView(BaseModel):
    """The secret; this version of it is not shown again."""

    version: int
    secret: str


class BegunView(BaseModel):
    """A version of a credential that is on its way."""

    kind: str
    owner: str
    version: int


class NewSecret(BaseModel):
    """The client secret that a person made in X's developer portal."""

    model_config = ConfigDict(extra="forbid")

    app: Annotated[str, Field(min_length=1, max_length=100)]
    client_secret: Annotated[SecretStr, Field(min_length=1, max_length=500)]


class RollBack(BaseModel):
    """Which app's secret before is to be used again, and why."""

    model_config = ConfigDict(extra="forbid")

    app: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Annotated[str, Field(min_length=3, max_length=500)]


class GiveUp(BaseModel):
    """Which credential's version on its way is to end, and why."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(max_length=50, examples=["x_app_keys"])]
    owner: Annotated[str, Field(max_length=200, examples=["main"])]
    reason: Annotated[str, Field(min_length=3, max_length=500, examples=["the portal is down"])]


@router.get("")
async def list_credentials(caller: Annotated[Actor, needs("credentials.read")], at: Opened) -> list[EntryView]:
    """Every credential the caller may know of, by kind and owner."""
    return [EntryView.model_validate(entry) for entry in await inventory.list_all(at, caller)]


@router.get("/plan")
async def plan(caller: Annotated[Actor, needs("credentials.plan")], at: Opened) -> list[PlannedView]:
    """What is due or falls due, in the order in which it is done; the first test that fails stops the rest."""
    return [PlannedView.model_validate(one) for one in await inventory.plan(at)]


@router.post("/reveal")
async def reveal(wanted: Reveal, caller: Annotated[Actor, needs("credentials.reveal")], at: Opened) -> RevealedView:
    """Show an app's client secret, each version once; who did it and why is audited first."""
    found = await inventory.reveal(at, wanted.kind, wanted.owner, wanted.reason, caller)
    return RevealedView(version=found.version, secret=found.secret.get_secret_value())


@router.post("/provide", status_code=202)
async def provide(given: NewSecret, caller: Annotated[Actor, needs("credentials.rotate")], at: Opened) -> BegunView:
    """Enter an app's new client secret; it goes straight to the vault, and the next run tests and uses it."""
    version = await x_app_keys.provide(at, given.app, given.client_secret, caller)
    return BegunView(kind=x_app_keys.NAME, owner=given.app, version=version)


@router.post("/abandon", status_code=202)
async def abandon(wanted: GiveUp, caller: Annotated[Actor, needs("credentials.rotate")], at: Opened) -> BegunView:
    """Give up the version on its way; the next run ends it, and the one in use stays."""
    given_up = await recipe.abandon(at, wanted.kind, wanted.owner, caller, wanted.reason)
    return BegunView(kind=given_up.kind, owner=given_up.subject, version=given_up.version)


@router.post("/rollback")
async def rollback(wanted: RollBack, caller: Annotated[Actor, needs("credentials.rotate")], at: Opened) -> BegunView:
    """Use an app's secret before again, where X still takes it."""
    version = await x_app_keys.roll_back(at, wanted.app, caller, wanted.reason)
    return BegunView(kind=x_app_keys.NAME, owner=wanted.app, version=version)
