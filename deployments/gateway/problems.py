"""What goes wrong, as RFC 9457 problem documents: one table from exceptions to answers.

`type` is stable and for programs, `detail` is a sentence for people. Neither a value that was sent nor the text of
an unexpected exception is ever repeated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from blocks.prefect_api import PrefectError
from blocks.vault.errors import VaultError
from blocks.x.errors import XError
from config.places import NotStartedError
from tasks.domain.media import MediaError
from tasks.operations.accounts import CredentialsRefusedError, HandleTakenError, NewBotError
from tasks.operations.api_keys import NoSuchKeyError, WorthlessKeyError
from tasks.operations.bot_records import DamagedError, ForgottenError, NoSuchRecordError
from tasks.operations.bots import NoSuchBotError
from tasks.operations.breakers import NoSuchBreakerError
from tasks.operations.channels import ChannelRefusedError, ChannelTakenError, NoSuchChannelError
from tasks.operations.consent import ConsentError
from tasks.operations.content import ContentTakenError, NoDraftError, NoSuchContentError, TextRefusedError
from tasks.operations.gate import PolicyError
from tasks.operations.insight import NotWithinError
from tasks.operations.inventory import NoSuchCredentialError, NotShownError
from tasks.operations.passwords import BusyError
from tasks.operations.personas import PersonaTakenError
from tasks.operations.planning import PlanningUnderWayError
from tasks.operations.posts import NoSuchPostError, NotOutError, StaleError, TooLateError
from tasks.operations.repeats import AtWorkError, BrokenOffError, ReusedKeyError
from tasks.operations.reports import NoSuchReportError
from tasks.operations.rotation.kind import NotYet
from tasks.operations.rotation.recipe import NoSuchKindError, NoSuchSubjectError, NotNowError
from tasks.operations.rotation.x_app_keys import CannotRollBackError, NotAskedForError
from tasks.operations.runs import NoArgumentsError, NoSuchDeploymentError, NoSuchRunError
from tasks.operations.settings import NoSuchRevisionError, SettingsRefusedError, SettingsStaleError
from tasks.operations.stops import NoSuchStopError, NotTakenOverError
from tasks.operations.threads import ThreadError
from tasks.operations.trends import NoSuchTrendError
from tasks.operations.users import (
    EndsBeforeNowError,
    LastAdminError,
    LinkUsedError,
    NameTakenError,
    NoSuchRoleError,
    NoSuchUserError,
    WeakPasswordError,
    WrongPasswordError,
)
from tasks.operations.x_apps import NoSuchAppError, UseCaseTakenError

MEDIA_TYPE = "application/problem+json"
NAMESPACE = "urn:vivesphere:problem:"

_DATABASE_AWAY = "the database does not serve now; try again in a moment"


class ProblemError(Exception):
    """An answer that a router gives by itself; everything else comes from the table."""

    def __init__(self, status: int, problem: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = problem
        self.detail = detail
        self.headers = headers


@dataclass(frozen=True)
class Answer:
    """Status, the last word of the problem's type, and what is said; without `detail` the exception's own text."""

    status: int
    problem: str
    detail: Callable[[Any], str] = str


TABLE: Mapping[type[Exception], Answer] = {
    NoSuchBotError: Answer(404, "no-such-bot", lambda error: f"there is no bot @{error}"),
    NoSuchReportError: Answer(404, "no-such-report", lambda error: f"there is no {error}"),
    NotWithinError: Answer(403, "not-allowed"),
    NoSuchPostError: Answer(404, "no-such-post", lambda error: f"there is no post {error}"),
    NoSuchDeploymentError: Answer(404, "no-such-deployment"),
    NoSuchAppError: Answer(404, "no-such-app", lambda error: f"there is no app '{error}'"),
    NoSuchBreakerError: Answer(404, "no-such-breaker", lambda error: f"no breaker {error} is open"),
    NoSuchChannelError: Answer(404, "no-such-channel", lambda error: f"there is no channel {error}"),
    ChannelTakenError: Answer(409, "channel-taken"),
    ChannelRefusedError: Answer(422, "channel-refused"),
    NoSuchStopError: Answer(404, "no-such-stop", lambda error: f"no stop {error} is in force"),
    NotTakenOverError: Answer(409, "not-taken-over"),
    NoSuchRunError: Answer(404, "no-such-run"),
    NoSuchRevisionError: Answer(404, "no-such-revision"),
    SettingsRefusedError: Answer(422, "settings-refused"),
    SettingsStaleError: Answer(412, "stale"),
    NoArgumentsError: Answer(422, "no-arguments"),
    TooLateError: Answer(409, "too-late"),
    StaleError: Answer(412, "stale"),
    PolicyError: Answer(503, "nothing-is-judged", lambda error: f"the gate cannot judge, so nothing passes: {error}"),
    NotOutError: Answer(409, "not-out"),
    NoSuchRecordError: Answer(404, "no-such-record", lambda error: f"there is no record {error} of this bot"),
    ForgottenError: Answer(410, "forgotten"),
    DamagedError: Answer(409, "damaged"),
    ThreadError: Answer(409, "thread-cannot-go-on"),
    MediaError: Answer(422, "media-refused", lambda error: f"X does not take this file: {error}"),
    HandleTakenError: Answer(409, "handle-taken"),
    NewBotError: Answer(422, "cannot-be-made"),
    CredentialsRefusedError: Answer(422, "credentials-refused"),
    NoSuchContentError: Answer(404, "no-such-content", lambda error: f"there is no {error}"),
    NoDraftError: Answer(409, "no-draft"),
    ContentTakenError: Answer(409, "content-taken"),
    TextRefusedError: Answer(422, "text-refused"),
    PlanningUnderWayError: Answer(409, "planning-under-way"),
    PersonaTakenError: Answer(409, "persona-taken"),
    ConsentError: Answer(409, "cannot-connect"),
    UseCaseTakenError: Answer(409, "use-case-taken"),
    NoSuchCredentialError: Answer(404, "no-such-credential"),
    NotShownError: Answer(409, "not-shown"),
    NoSuchKindError: Answer(404, "no-such-kind"),
    NoSuchSubjectError: Answer(404, "no-such-credential"),
    NotNowError: Answer(409, "not-now"),
    NotYet: Answer(503, "not-yet"),
    NotAskedForError: Answer(409, "not-asked-for"),
    CannotRollBackError: Answer(409, "cannot-roll-back"),
    NoSuchTrendError: Answer(404, "no-such-trend"),
    NoSuchUserError: Answer(404, "no-such-user"),
    NoSuchRoleError: Answer(404, "no-such-role"),
    NoSuchKeyError: Answer(404, "no-such-key"),
    NameTakenError: Answer(409, "name-taken"),
    LastAdminError: Answer(409, "last-admin"),
    LinkUsedError: Answer(410, "link-used"),
    WeakPasswordError: Answer(422, "weak-password"),
    WrongPasswordError: Answer(403, "wrong-password"),
    WorthlessKeyError: Answer(422, "worthless-key"),
    EndsBeforeNowError: Answer(422, "ends-before-now"),
    BusyError: Answer(503, "sign-in-busy"),
    ReusedKeyError: Answer(422, "key-reused"),
    AtWorkError: Answer(409, "at-work"),
    BrokenOffError: Answer(409, "broken-off"),
    PermissionError: Answer(403, "not-allowed"),
    XError: Answer(502, "x-refused", lambda error: f"X said no: {error.detail}"),
    VaultError: Answer(503, "vault-away", lambda _: "the vault does not serve now; try again in a moment"),
    PrefectError: Answer(503, "prefect-away"),
    NotStartedError: Answer(503, "not-started"),
    DataError: Answer(
        422, "cannot-be-stored", lambda _: "a value holds a character that cannot be stored, such as NUL"
    ),
    # Every other error of the database is a fault of ours, and answered as one.
    OperationalError: Answer(503, "database-away", lambda _: _DATABASE_AWAY),
    InterfaceError: Answer(503, "database-away", lambda _: _DATABASE_AWAY),
    PoolTimeoutError: Answer(503, "database-away", lambda _: _DATABASE_AWAY),
    psycopg.OperationalError: Answer(503, "database-away", lambda _: _DATABASE_AWAY),
}


def answer(
    status: int,
    problem: str,
    detail: str,
    errors: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document; `errors` name single fields."""
    body: dict[str, Any] = {
        "type": f"{NAMESPACE}{problem}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status, dict(headers) if headers else None, MEDIA_TYPE)


def register(app: FastAPI) -> None:
    """Answer every exception of the table, and those of the framework, with a problem document."""
    for kind in TABLE:
        app.add_exception_handler(kind, _from_table)
    app.add_exception_handler(ProblemError, from_router)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _from_framework)


async def _from_table(_: Request, error: Exception) -> JSONResponse:
    found = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    return answer(found.status, found.problem, found.detail(error))


async def from_router(_: Request, error: Exception) -> Response:
    """The problem document of a ProblemError."""
    found = cast(ProblemError, error)
    return answer(found.status, found.problem, found.detail, headers=found.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    invalid = cast(RequestValidationError, error).errors()
    errors = [{"field": field(one["loc"]), "problem": one["msg"]} for one in invalid]
    first = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return answer(422, "invalid-request", f"{first['field']}: {first['problem']}{more}", errors)


async def _from_framework(request: Request, error: Exception) -> JSONResponse:
    found = cast(HTTPException, error)
    phrase = HTTPStatus(found.status_code).phrase
    headers = dict(found.headers or {})
    if found.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of the first route of this path alone.
        headers["Allow"] = ", ".join(sorted(_methods(request))) or headers.get("Allow", "")
    return answer(found.status_code, phrase.lower().replace(" ", "-"), str(found.detail), headers=headers)


def _methods(request: Request) -> set[str]:
    """Every method that a route of ours takes at this path."""
    path = request.scope["path"]
    return {
        method
        for prefix, router in request.app.state.routers
        if path.startswith(prefix)
        for route in router.routes
        if route.path_regex.match(path.removeprefix(prefix))
        for method in route.methods
    }


def field(location: Sequence[int | str]) -> str:
    """`body.3.text` for the text of the fourth item of the body."""
    return ".".join(str(part) for part in location)
