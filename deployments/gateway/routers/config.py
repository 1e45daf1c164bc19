"""Settings while the stack runs: look, change with If-Match, history, take back."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from config import loading, overrides
from config.settings import Mark, Settings
from deployments.gateway.problems import ProblemError
from deployments.gateway.revisions import IfMatch, expected
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import settings

router = APIRouter(prefix="/config", tags=["config"])

REVISION_MOST = 2**31 - 1
Reason = Annotated[str | None, Field(max_length=500, pattern=r"^[^\x00]*\S[^\x00]*$")]
Service = Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$", description="Such as `posting`.")]
STALE: dict[int | str, dict[str, Any]] = {412: {"description": "They were changed meanwhile."}}


class SettingView(BaseModel):
    """A setting in force: `origin` is default, yaml, .env, environment, layout or override; `where` the very place."""

    key: str
    service: str
    value: Any
    origin: str
    where: str
    mark: Mark
    description: str


class SettingsView(BaseModel):
    """Settings at a revision; `ignored` are overrides that this release does not take, each with why."""

    revision: int
    settings: list[SettingView]
    ignored: list[str]


class Update(BaseModel):
    """Values by service and name, or flat by name with `service_name`, or by dotted key; null takes one away."""

    model_config = ConfigDict(extra="forbid")

    settings_data: Annotated[dict[str, Any], Field(min_length=1, max_length=200, examples=[{"posting": {"batch": 50}}])]
    service_name: Annotated[str | None, Field(max_length=100, examples=[None])] = None
    reason: Reason = None


class Rollback(BaseModel):
    """Back to what was in force at a revision; 0 is: nothing overridden."""

    model_config = ConfigDict(extra="forbid")

    revision: Annotated[int, Field(ge=0, le=REVISION_MOST)]
    reason: Reason = None


class Updated(BaseModel):
    """All of it stands, as this revision."""

    status: Literal["updated"] = "updated"
    revision: int


class ChangeView(BaseModel):
    """One key in one revision; null is: no override."""

    model_config = ConfigDict(from_attributes=True)

    revision: int
    key: str
    old: Any
    new: Any
    actor: str
    reason: str | None
    at: datetime


@router.get("/settings")
async def show(
    caller: Annotated[Actor, needs("settings.read")], at: Opened, response: Response, service_name: Service = None
) -> SettingsView:
    """Every setting, or those of one service, and where each value comes from; the ETag is the revision."""
    found = await settings.state(at, loading.load())
    _known(service_name)
    fields = [one for one in loading.fields(Settings) if service_name in (None, one[0].partition(".")[0])]
    response.headers["ETag"] = f'"{found.revision}"'
    loaded = found.overlaid.loaded
    shown = []
    for key, field in fields:
        origin = loaded.origin(key)
        shown.append(
            SettingView(
                key=key,
                service=key.partition(".")[0],
                value=overrides.value(loaded.settings, key),
                origin=origin.kind,
                where=origin.where,
                mark=field.json_schema_extra["mark"],
                description=field.description,
            )
        )
    return SettingsView(revision=found.revision, settings=shown, ignored=[str(one) for one in found.overlaid.ignored])


@router.post("/update", responses=STALE)
async def update(
    given: Update,
    caller: Annotated[Actor, needs("settings.write")],
    at: Opened,
    response: Response,
    if_match: IfMatch = None,
) -> Updated:
    """Change settings, all or none; running processes take them over within ten seconds."""
    revision = await settings.change(at, loading.load(), _flat(given), caller, given.reason, expected(if_match))
    response.headers["ETag"] = f'"{revision}"'
    return Updated(revision=revision)


@router.post("/rollback", responses={**STALE, 404: {"description": "There is no such revision."}})
async def rollback(
    given: Rollback,
    caller: Annotated[Actor, needs("settings.write")],
    at: Opened,
    response: Response,
    if_match: IfMatch = None,
) -> Updated:
    """Make what was in force at a revision be in force again; that is a new revision."""
    revision = await settings.roll_back(at, loading.load(), given.revision, caller, given.reason, expected(if_match))
    response.headers["ETag"] = f'"{revision}"'
    return Updated(revision=revision)


@router.get("/history")
async def history(
    caller: Annotated[Actor, needs("settings.read")],
    at: Opened,
    service_name: Service = None,
    before: Annotated[int | None, Query(ge=1, le=REVISION_MOST, description="Changes before this revision.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[ChangeView]:
    """Who changed what, when and why, from the newest downwards."""
    _known(service_name)
    return [ChangeView.model_validate(one) for one in await settings.history(at, service_name, before, limit)]


def _known(service: str | None) -> None:
    """Raise 404 for a service that there is not."""
    if service is not None and service not in Settings.model_fields:
        raise ProblemError(404, "no-such-service", "there is no service of this name")


def _flat(given: Update) -> dict[str, Any]:
    """The values by dotted key, whichever way they were written."""
    if given.service_name is not None:
        return {f"{given.service_name}.{name}": value for name, value in given.settings_data.items()}
    found: dict[str, Any] = {}
    for name, value in given.settings_data.items():
        if isinstance(value, dict):
            found |= {f"{name}.{below}": one for below, one in value.items()}
        else:
            found[name] = value
    return found
