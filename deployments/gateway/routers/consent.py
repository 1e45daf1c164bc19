"""Where X sends an account's owner back to; the one page of ours that a stranger sees."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import SecretStr
from starlette.responses import HTMLResponse

from blocks.vault.errors import VaultError
from blocks.x.errors import InvalidGrant, XError
from deployments.gateway.console.pages import message
from deployments.gateway.sign_in import Opened
from tasks.domain.roles import system
from tasks.operations import consent
from tasks.operations.bots import NoSuchBotError
from tasks.operations.consent import ConsentError

router = APIRouter(tags=["consent"])

CALLBACK = "/oauth/callback"
CODE_CHARACTERS_MAX = 2000
AGAIN = "Ask the operator for a new link: vivesphere bots login."


@router.get(CALLBACK, response_class=HTMLResponse)
async def callback(
    at: Opened,
    state: Annotated[SecretStr | None, Query(max_length=CODE_CHARACTERS_MAX)] = None,
    code: Annotated[SecretStr | None, Query(max_length=CODE_CHARACTERS_MAX)] = None,
    error: Annotated[str, Query(max_length=CODE_CHARACTERS_MAX)] = "",
) -> HTMLResponse:
    """Connect the account whose owner comes back from X; the single-use state is all the permission there is."""
    if error:
        return _page(400, "Not connected", "X reports that access was not granted, and nothing was changed.", AGAIN)
    if not state or not code:
        return _page(400, "Not connected", "This address is complete only when X itself leads here.", AGAIN)
    try:
        found = await consent.finish(at, state.get_secret_value(), code, system("consent"))
    except (ConsentError, NoSuchBotError) as problem:
        return _page(409, "Not connected", str(problem), AGAIN)
    except InvalidGrant:
        return _page(409, "Not connected", "X does not take this sign-in any more; it is good for 30 seconds.", AGAIN)
    except (XError, VaultError):
        return _page(503, "Not connected", "X or our vault did not answer in time.", AGAIN)
    named = (
        "Its profile names its operator."
        if found.bio_names_operator
        else ("Its profile does not name its operator yet: posts are refused until the description does.")
    )
    return _page(200, "Connected", f"@{found.handle} is connected. You can close this page.", named)


def _page(status: int, title: str, *sentences: str) -> HTMLResponse:
    # The address holds the code.
    return message(status, title, *sentences, headers={"Referrer-Policy": "no-referrer"})
