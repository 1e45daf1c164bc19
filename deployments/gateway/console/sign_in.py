"""The pages on which people sign in, sign out and choose their first password."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import SecretStr
from starlette.responses import Response

from deployments.gateway import cookies, first_sign_in
from deployments.gateway.console.pages import from_our_page, go, page
from deployments.gateway.problems import ProblemError
from deployments.gateway.routers.auth import REFUSED
from deployments.gateway.sign_in import Opened, client_of
from tasks.domain.passwords import CHARACTERS_MIN
from tasks.operations import access, users
from tasks.operations.passwords import BusyError
from tasks.operations.users import LinkUsedError, WeakPasswordError

router = APIRouter(include_in_schema=False)

ACCOUNT = "/account"
LOGIN = "/login"
NOTICES = {
    "": "",
    "chosen": "Your password is chosen. Sign in with it.",
    "out": "You are signed out.",
}

Word = Annotated[str, Form(max_length=100)]
Secret = Annotated[SecretStr, Form(max_length=1000)]
Address = Annotated[str, Form(max_length=2000)]


@router.get(LOGIN)
async def login_page(
    next: Annotated[str, Query(max_length=2000)] = "", notice: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Ask for name and password."""
    return _ask(next, notice=NOTICES.get(notice, ""))


@router.post(LOGIN, dependencies=[Depends(from_our_page)])
async def login(request: Request, at: Opened, username: Word, password: Secret, next: Address = "") -> Response:
    """Begin a session: with a new id, whatever the browser had before."""
    await request.app.state.limits.take_sign_in(client_of(request.scope))
    try:
        user = await access.sign_in(at, username, password.get_secret_value(), client_of(request.scope))
    except BusyError as busy:
        return _ask(next, 503, username, problem=str(busy).capitalize() + ".")
    if user is None:
        return _ask(next, 401, username, problem=REFUSED[0].upper() + REFUSED[1:] + ".")
    former = cookies.read(request.scope)
    if former:
        await access.end_session(at, former)
    secret = await access.begin_session(at, user, client_of(request.scope))
    answer = go(within(next) or ACCOUNT)
    cookies.give(answer, request.scope, secret, at.places.settings.gateway.session_seconds)
    return answer


@router.post("/logout", dependencies=[Depends(from_our_page)])
async def logout(request: Request, at: Opened) -> Response:
    """End the session, and let the browser forget it."""
    secret = cookies.read(request.scope)
    if secret:
        await access.end_session(at, secret)
    answer = go(f"{LOGIN}?notice=out")
    cookies.take(answer, request.scope)
    return answer


@router.get(first_sign_in.PAGE)
async def choose_page(at: Opened, link: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Ask for a password; the link is used up only once there is one."""
    try:
        return _choose(link, await users.holder_of_link(at, link))
    except LinkUsedError as problem:
        return _choose("", "", str(problem), 410)


@router.post(first_sign_in.PAGE, dependencies=[Depends(from_our_page)])
async def choose(
    request: Request, at: Opened, link: Annotated[str, Form(max_length=200)], password: Secret, again: Secret
) -> Response:
    """Take the password, and ask for it: a link that somebody sent signs nobody in."""
    await request.app.state.limits.take_sign_in(client_of(request.scope))
    try:
        username = await users.holder_of_link(at, link)
        if password != again:
            return _choose(link, username, "the two are not the same", 422)
        username = await users.use_link(at, link, password.get_secret_value())
    except LinkUsedError as problem:
        return _choose("", "", str(problem), 410)
    except WeakPasswordError as problem:
        return _choose(link, username, str(problem), 422)
    except BusyError as problem:
        return _choose(link, username, str(problem), 503)
    first_sign_in.used(at.places, username)
    return go(f"{LOGIN}?notice=chosen")


def within(address: str) -> str:
    """An address of this site, or none: a form must not lead people elsewhere."""
    own = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if own and "\\" not in address else ""


def led_to_sign_in(request: Request, problem: ProblemError) -> ProblemError:
    """What a stranger on a page of ours is told: to sign in, and then to come back."""
    headers = {"Location": f"{LOGIN}?next={within(request.url.path)}"}
    return ProblemError(303, "sign-in-needed", problem.detail, headers)


def _ask(next: str, status: int = 200, username: str = "", notice: str = "", problem: str = "") -> Response:
    return page("login", status, next=within(next), username=username, notice=notice, problem=problem)


def _choose(link: str, username: str, problem: str = "", status: int = 200) -> Response:
    said = f"{problem[:1].upper()}{problem[1:]}." if problem else ""
    return page("set_password", status, link=link, username=username, problem=said, characters_min=CHARACTERS_MIN)
