"""Apps on X's developer platform; their secrets go straight to the vault and never come back."""

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr

from deployments.gateway.paging import ByName
from deployments.gateway.routers.consent import CALLBACK
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import x_apps

router = APIRouter(prefix="/apps", tags=["apps"])


class NewApp(BaseModel):
    """An app as X's developer portal shows it; without `redirect_uri` this gateway's own callback is meant."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    use_case: Annotated[str, Field(min_length=1, max_length=500)]
    stage: Literal["development", "production"] = "development"
    client_id: Annotated[str, Field(min_length=1, max_length=200)]
    client_secret: Annotated[SecretStr, Field(min_length=1, max_length=500)] | None = None
    redirect_uri: AnyHttpUrl | None = None


class AppView(BaseModel):
    """An app without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    use_case: str
    stage: str
    client_id: str
    redirect_uri: str
    monthly_budget_usd: Decimal | None


class Budget(BaseModel):
    """What an app may cost in a calendar month; absent: without end."""

    model_config = ConfigDict(extra="forbid")

    monthly_usd: Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=4)] | None


class Stored(BaseModel):
    """The app was stored under this id."""

    id: UUID
    redirect_uri: str


@router.get("")
async def list_apps(
    caller: Annotated[Actor, needs("apps.read")], at: Opened, part: Annotated[ByName, Depends()]
) -> list[AppView]:
    """Every app, by name."""
    return [AppView.model_validate(app) for app in part.cut(await x_apps.list_all(at), lambda app: app.name)]


@router.post("", status_code=201)
async def put(app: NewApp, caller: Annotated[Actor, needs("apps.write")], at: Opened) -> Stored:
    """Add an app, or change the one of this name."""
    redirect_uri = str(app.redirect_uri) if app.redirect_uri else f"{at.places.front_door}{CALLBACK}"
    app_id = await x_apps.put(
        at,
        caller,
        name=app.name,
        use_case=app.use_case,
        stage=app.stage,
        client_id=app.client_id,
        client_secret=app.client_secret,
        redirect_uri=redirect_uri,
    )
    return Stored(id=app_id, redirect_uri=redirect_uri)


@router.post("/{name}/budget", status_code=204)
async def set_budget(name: str, budget: Budget, caller: Annotated[Actor, needs("apps.write")], at: Opened) -> None:
    """Set what an app may cost in a month; posts that wait for money are looked at again at once."""
    await x_apps.set_budget(at, caller, name, budget.monthly_usd)
