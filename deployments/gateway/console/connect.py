"""The page on which an account's owner, who has no login here, connects the account again."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from blocks.vault.errors import VaultError
from config.places import Places
from deployments.gateway.console.pages import HEADERS, from_our_page, go, page
from deployments.gateway.sign_in import Opened, client_of
from tasks.connections import Connections
from tasks.operations import connect_links
from tasks.operations.connect_links import PAGE, ConnectLinkError
from tasks.operations.consent import ConsentError

router = APIRouter(include_in_schema=False)

ASK = "Ask whoever sent it to you for a new one."


@router.get(PAGE)
async def offer(at: Opened, link: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Say what will happen. Nothing does yet: programs that preview links open them too."""
    return await _offer(at, link)


@router.post(PAGE, dependencies=[Depends(from_our_page)])
async def follow(request: Request, at: Opened, link: Annotated[str, Form(max_length=200)]) -> Response:
    """Lead on to X, where the owner signs in and grants access or does not."""
    await request.app.state.limits.take_sign_in(client_of(request.scope))
    try:
        found = await connect_links.follow(at, link)
    except ConnectLinkError as problem:
        return _refused(410, str(problem))
    except ConsentError as problem:
        return _refused(409, str(problem))
    except VaultError:
        return await _offer(at, link, 503, "our vault does not serve now: try again in a moment")
    return _to_x(at.places, go(found.url))


async def _offer(at: Connections, link: str, status: int = 200, problem: str = "") -> Response:
    try:
        found = await connect_links.offer(at, link)
    except ConnectLinkError as refused:
        return _refused(410, str(refused))
    return _to_x(at.places, page("connect", status, link=link, offer=found, problem=_sentence(problem), ask=""))


def _refused(status: int, problem: str) -> Response:
    return page("connect", status, link="", offer=None, problem=_sentence(problem), ask=ASK)


def _to_x(places: Places, answer: Response) -> Response:
    """Browsers hold the policy of forms against the address that a form is led on to, too."""
    x = urlsplit(places.x_authorize)
    policy = HEADERS["Content-Security-Policy"]
    answer.headers["Content-Security-Policy"] = policy.replace(
        "form-action 'self'", f"form-action 'self' {x.scheme}://{x.netloc}"
    )
    return answer


def _sentence(problem: str) -> str:
    return f"{problem[:1].upper()}{problem[1:]}." if problem else ""
