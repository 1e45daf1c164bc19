"""The gateway as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import RedirectResponse

from config.places import Places
from config.settings import Gateway
from deployments.gateway import contract, opening, problems
from deployments.gateway.console import account, connect, pages, sign_in
from deployments.gateway.doorway import Doorway
from deployments.gateway.limits import Limits
from deployments.gateway.problems import ProblemError
from deployments.gateway.proxy import PAGES, Proxy, Sorted
from deployments.gateway.repeats import RepeatedError, Repeats, again
from deployments.gateway.routers import (
    apikeys,
    approvals,
    apps,
    audit,
    auth,
    botdata,
    bots,
    breakers,
    config,
    consent,
    content,
    credentials,
    health,
    jwks,
    keys,
    logs,
    media,
    metrics,
    monitoring,
    notifications,
    personas,
    posts,
    reports,
    roles,
    rotations,
    runs,
    spend,
    stops,
    today,
    trends,
    uncertain,
    users,
)

API = "/api/v1"
ROUTERS: tuple[tuple[str, APIRouter], ...] = (
    (API, health.router),
    (API, auth.router),
    (API, bots.router),
    (API, apps.router),
    (API, credentials.router),
    (API, personas.router),
    (API, content.router),
    # Before the posts, whose ids would take its place.
    (API, uncertain.router),
    (API, posts.router),
    (API, media.router),
    (API, reports.router),
    (API, metrics.router),
    (API, trends.router),
    (API, botdata.router),
    (API, audit.router),
    (API, today.router),
    (API, runs.router),
    (API, stops.router),
    (API, approvals.router),
    (API, breakers.router),
    (API, spend.router),
    (API, users.router),
    (API, roles.router),
    (API, keys.router),
    (API, apikeys.router),
    (API, rotations.router),
    (API, config.router),
    (API, logs.router),
    (API, notifications.router),
    ("", jwks.router),
    ("", monitoring.router),
    ("", consent.router),
    ("", pages.router),
    ("", sign_in.router),
    ("", account.router),
    ("", connect.router),
)


def create_app(places: Places) -> FastAPI:
    """The application; its parts are reached in the background once it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with proxy.open(), opening.opening(places) as app.state.opening:
            yield

    def settings() -> Gateway:
        ready = app.state.opening.ready
        return (ready.connections.places if ready else places).settings.gateway

    limits = Limits(settings)
    proxy = Proxy(places, limits, settings)
    # Its pages bring their own scripts: nothing of ours asks the internet at run time.
    app = FastAPIOffline(
        title="ViveSphere Bot Manager",
        version=version("vivesphere"),
        description=(
            "Disclosed service bots on X: what they say, when, and what became of it. "
            "Sign in with `POST /api/v1/auth/login` and give the token to *Authorize*."
        ),
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.opening = opening.Opening()
    app.state.stack = places.stack
    app.state.limits = limits
    app.state.routers = ROUTERS
    problems.register(app)
    app.add_exception_handler(ProblemError, pages.problem)
    app.add_exception_handler(RepeatedError, again)
    app.add_middleware(Sorted, prefect=ExceptionMiddleware(proxy, app.exception_handlers))
    app.add_middleware(Doorway)
    app.add_middleware(Repeats)
    for prefix, router in ROUTERS:
        app.include_router(router, prefix=prefix)
    app.add_api_route("/", _front_page, include_in_schema=False)
    contract.describe(app, ROUTERS)
    # Whatever is no route of ours is Prefect's, or nobody's.
    app.router.default = proxy
    return app


def _front_page() -> RedirectResponse:
    return RedirectResponse(PAGES)
