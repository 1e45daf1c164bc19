"""The owner of an account at a rehearsal: signs in on the sandbox's consent page, as a person would by hand.

For the X sandbox alone; on the real X only the owner can do this, in a browser.
"""

from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
from pydantic import SecretStr


class RehearsalError(RuntimeError):
    """The sandbox did not send the owner back with a code."""


async def grant(authorize_url: str, *, username: str, name: str, description: str) -> tuple[str, SecretStr]:
    """Fill in and send the form of the consent page; answers (state, code) from the address it leads back to.

    An account that the sandbox does not know yet is made with this name and description.
    """
    form = dict(parse_qsl(urlsplit(authorize_url).query))
    form |= {"username": username, "name": name, "description": description, "decision": "allow"}
    page = authorize_url.partition("?")[0]
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as browser:
            answer = await browser.post(page, data=form)
    except httpx.HTTPError as error:
        raise RehearsalError(f"the consent page of the sandbox does not answer: {type(error).__name__}") from None
    back = parse_qs(urlsplit(answer.headers.get("location", "")).query)
    if not answer.is_redirect or "code" not in back or "state" not in back:
        raise RehearsalError(f"the consent page of the sandbox answered {answer.status_code} without a code")
    return back["state"][0], SecretStr(back["code"][0])
