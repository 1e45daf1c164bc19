"""Encrypted data of bots: stored, given out sealed, opened for a reason."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from deployments.gateway.problems import ProblemError
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import bot_records

router = APIRouter(prefix="/botdata", tags=["botdata"])

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
BotId = Annotated[str, Field(min_length=1, max_length=50, description="The bot's id or handle.")]
VALUE_BYTES_MAX = 1_048_576


class NewRecord(BaseModel):
    """What is to be kept for a bot: JSON in `data`, or bytes in `data_base64`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"bot_id": "vienna_weather", "name": "contact", "data": {"phone": "+43 1 0"}}]},
    )

    bot_id: BotId
    name: Name = "default"
    data: Any = None
    data_base64: Annotated[str, Field(max_length=VALUE_BYTES_MAX * 4 // 3 + 4)] | None = None


class StoredView(BaseModel):
    """Where the value lies now."""

    model_config = ConfigDict(from_attributes=True)

    bot: str
    name: str
    version: int


class SealedView(BaseModel):
    """A record as it lies here; nobody opens it without the vault."""

    bot_id: str
    name: str
    version: int
    format: str
    wrapped_key: str
    nonce_base64: str
    ciphertext_base64: str
    created_by: str
    created_at: datetime


class Reveal(BaseModel):
    """Which record is to be opened, and why; the reason is audited."""

    model_config = ConfigDict(extra="forbid")

    bot_id: BotId
    name: Name = "default"
    version: Annotated[int, Field(ge=1)] | None = None
    reason: Annotated[str, Field(min_length=3, max_length=500)]


class RevealedView(BaseModel):
    """The value: JSON in `data`, or bytes in `data_base64`."""

    name: str
    version: int
    data: Any = None
    data_base64: str | None = None


@router.post("/store", status_code=201)
async def store(wanted: NewRecord, caller: Annotated[Actor, needs("botdata.write")], at: Opened) -> StoredView:
    """Encrypt a value and keep it as the next version of the bot's record."""
    value = wanted.data if wanted.data_base64 is None else _bytes(wanted)
    found = await bot_records.store(at, wanted.bot_id.removeprefix("@"), wanted.name, value, caller)
    return StoredView.model_validate(found)


@router.get("/retrieve")
async def retrieve(
    caller: Annotated[Actor, needs("botdata.read")],
    at: Opened,
    bot_id: Annotated[str, Query(min_length=1, max_length=50, description="The bot's id or handle.")],
    name: Annotated[str, Query(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")] = "default",
    version: Annotated[int | None, Query(ge=1)] = None,
) -> SealedView:
    """A record as it lies here, sealed, with its wrapped key; the newest version where none is named."""
    found = await bot_records.retrieve(at, bot_id.removeprefix("@"), name, version, caller)
    return SealedView(
        bot_id=bot_id.removeprefix("@"),
        name=found.name,
        version=found.version,
        format=found.format,
        wrapped_key=found.wrapped_key,
        nonce_base64=base64.b64encode(found.nonce).decode(),
        ciphertext_base64=base64.b64encode(found.ciphertext).decode(),
        created_by=found.created_by,
        created_at=found.created_at,
    )


@router.post("/reveal")
async def reveal(wanted: Reveal, caller: Annotated[Actor, needs("botdata.reveal")], at: Opened) -> RevealedView:
    """Open a record; who did it and why is audited before the value is given out."""
    handle = wanted.bot_id.removeprefix("@")
    found = await bot_records.reveal(at, handle, wanted.name, wanted.version, wanted.reason, caller)
    if isinstance(found.value, bytes):
        value = base64.b64encode(found.value).decode()
        return RevealedView(name=found.name, version=found.version, data_base64=value)
    return RevealedView(name=found.name, version=found.version, data=found.value)


def _bytes(wanted: NewRecord) -> bytes:
    if wanted.data is not None:
        raise ProblemError(422, "two-values", "send `data` or `data_base64`, not both")
    try:
        return base64.b64decode(wanted.data_base64 or "", validate=True)
    except binascii.Error:
        raise ProblemError(422, "not-base64", "`data_base64` is no Base64") from None
