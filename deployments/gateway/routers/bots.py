"""Bots: bring in from files, look, connect."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from deployments.gateway.paging import ByName
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.new_bots import NewBot
from tasks.domain.personas import Bot
from tasks.domain.roles import Actor
from tasks.operations import accounts, bot_records, bots, connect_links, consent

router = APIRouter(prefix="/bots", tags=["bots"])

BOTS_MAX = 1000
# Each is asked for on X while the caller waits.
ADOPTED_MAX = 50
Word = Annotated[str | None, Query(max_length=100)]
State = Literal["active", "paused", "needs_login", "suspended", "retired"]


class BotView(BaseModel):
    """A bot as it stands."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    handle: str
    display_name: str
    description: str
    state: State
    persona: str
    time_zone: str
    labels: list[str]
    posts_per_day_max: int
    operator_handle: str
    x_user_id: str | None
    label_confirmed_at: datetime | None
    label_confirmed_by: str | None
    bio_checked_at: datetime | None
    bio_names_operator: bool
    revision: int


class CreatedView(BaseModel):
    """A new bot: `active`, or `needs_login` until the account's owner opened `login_url`."""

    bot_id: UUID
    bot_name: str
    state: State
    x_user_id: str | None
    login_url: str | None
    login_expires_at: datetime | None
    said: str


class Adoption(BaseModel):
    """Accounts with the tokens they have; `attested` is who says that they are theirs to run, and is audited."""

    model_config = ConfigDict(extra="forbid")

    attested: Annotated[str, Field(min_length=10, max_length=500, examples=["Anna Berger, head of press: all ours"])]
    bots: Annotated[list[NewBot], Field(min_length=1, max_length=ADOPTED_MAX)]


class AdoptedView(BaseModel):
    """What became of one account; an `unchanged` one was connected before and keeps the tokens it has, one that is
    `waiting` is taken in by the first refresh of its token."""

    model_config = ConfigDict(from_attributes=True)

    handle: str
    result: Literal["created", "connected", "unchanged", "waiting", "refused"]
    said: str


class Change(BaseModel):
    """What an import does to one bot; each field as it was and as it will be."""

    model_config = ConfigDict(from_attributes=True)

    handle: str
    change: Literal["new", "changed", "unchanged", "refused"]
    fields: Mapping[str, tuple[Any, Any]]
    reason: str | None


class Link(BaseModel):
    """Where the account's owner grants access; for one use, until `expires_at`."""

    model_config = ConfigDict(from_attributes=True)

    handle: str
    url: str
    expires_at: datetime


class Forget(BaseModel):
    """Why a bot's data is to be unreadable for good; the reason is audited."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=3, max_length=500)]


class ForgottenView(BaseModel):
    """What was made unreadable: how many records, and the digest of their ciphertexts in the order of their ids."""

    records: int
    ciphertext_sha256: str
    reason: str
    forgotten_by: str
    forgotten_at: datetime


@router.get("")
async def list_bots(
    caller: Annotated[Actor, needs("bots.read")],
    at: Opened,
    part: Annotated[ByName, Depends()],
    state: State | None = None,
    label: Word = None,
) -> list[BotView]:
    """Bots the caller may see, by handle."""
    found = await bots.list_all(at, caller, state=state, label=label, after=part.after, limit=part.limit + 1)
    return [BotView.model_validate(bot) for bot in part.shown(found, lambda bot: bot.handle)]


@router.get("/list")
async def list_of_user(
    caller: Annotated[Actor, needs("bots.read")],
    at: Opened,
    part: Annotated[ByName, Depends()],
    user_id: UUID | None = None,
    state: State | None = None,
    label: Word = None,
) -> list[BotView]:
    """Bots of one user, by handle: the caller's own, or with the permission users.read anybody's."""
    wanted = {"state": state, "label": label, "after": part.after, "limit": part.limit + 1}
    found = await bots.of_user(at, user_id, caller, **wanted)
    return [BotView.model_validate(bot) for bot in part.shown(found, lambda bot: bot.handle)]


@router.post("/create", status_code=201, responses={409: {"description": "There is such a bot already."}})
async def create(
    wanted: NewBot, caller: Annotated[Actor, needs("bots.write")], at: Opened, response: Response
) -> CreatedView:
    """Make a bot for an account on X. Credentials are tried on X, go to the vault and are never shown again; without
    them the account's owner grants access at `login_url`."""
    made = await accounts.create(at, wanted, caller)
    response.headers["Location"] = f"/api/v1/bots/{made.handle}"
    return CreatedView(
        bot_id=made.id,
        bot_name=made.handle,
        state=made.state,
        x_user_id=made.x_user_id,
        login_url=made.login_url,
        login_expires_at=made.login_expires_at,
        said=made.said,
    )


@router.post("/adopt")
async def adopt(wanted: Adoption, caller: Annotated[Actor, needs("bots.write")], at: Opened) -> list[AdoptedView]:
    """Take in accounts with OAuth 2 or OAuth 1.0a tokens from elsewhere. Each is tried on X and goes to the vault
    alone; each answer stands in the place of its bot, and sending the same again changes nothing."""
    return [AdoptedView.model_validate(one) for one in await accounts.adopt(at, wanted.bots, wanted.attested, caller)]


@router.get("/{handle}")
async def show(handle: str, caller: Annotated[Actor, needs("bots.read")], at: Opened) -> BotView:
    """One bot."""
    return BotView.model_validate(await bots.get(at, handle.removeprefix("@"), caller))


@router.post("/import")
async def bring_in(
    wanted: Annotated[list[Bot], Body(max_length=BOTS_MAX)],
    caller: Annotated[Actor, needs("bots.write")],
    at: Opened,
    dry_run: bool = False,
) -> list[Change]:
    """Make the database say what the bot files say; each change stands in the place of its bot."""
    return [Change.model_validate(change) for change in await bots.bring_in(at, wanted, caller, dry_run)]


@router.post("/{handle}/login", status_code=201)
async def login(handle: str, caller: Annotated[Actor, needs("bots.connect")], at: Opened) -> Link:
    """Open a consent on X; the account's owner follows the link."""
    return Link.model_validate(await consent.start(at, handle.removeprefix("@"), caller))


@router.post("/{handle}/connect-link", status_code=201)
async def connect_link(handle: str, caller: Annotated[Actor, needs("bots.connect")], at: Opened) -> Link:
    """Make a link to a page of ours that the account's owner needs no login for; the one before is void."""
    return Link.model_validate(await connect_links.make(at, handle.removeprefix("@"), caller))


@router.post("/{handle}/forget")
async def forget(
    handle: str, wanted: Forget, caller: Annotated[Actor, needs("bots.forget")], at: Opened
) -> ForgottenView:
    """Destroy the bot's half of the keys of its data, and delete its records: no copy can be opened any more."""
    found = await bot_records.forget(at, handle.removeprefix("@"), wanted.reason, caller)
    return ForgottenView(
        records=found.records,
        ciphertext_sha256=found.ciphertext_sha256.hex(),
        reason=found.reason,
        forgotten_by=found.forgotten_by,
        forgotten_at=found.forgotten_at,
    )
