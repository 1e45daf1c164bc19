"""The page for people over HTTP: who may see it, and whose clicks count.

It needs no control token, so that a rehearsal is a click away; it can break and heal this X, move its clock and change
the standing of accounts, and nothing else. A click counts when it comes from this machine, from this very page and with
the page's own token, which another site can neither read nor guess. A name instead of an address in Host is refused: a
name may be another site's, pointed here.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from deployments.x_sandbox import front, front_assets
from deployments.x_sandbox.changes import end_tokens, set_clock
from deployments.x_sandbox.control_bodies import NewTime
from deployments.x_sandbox.faults import Rule
from deployments.x_sandbox.pages import page
from deployments.x_sandbox.presets import PRESETS
from deployments.x_sandbox.state import Sandbox

POLICY = "; script-src 'self'; connect-src 'self'; form-action 'self'"
HEAD = f'<style>{front_assets.STYLE}</style><script src="/page.js" defer></script>'
WITHOUT_SCRIPT = '<noscript><meta http-equiv="refresh" content="5"></noscript>'
SAME_SITE = ("same-origin", "none", None)
Form = dict[str, str]


class NotDone(Exception):
    """The click did nothing; the sentence says why."""


def front_routes(sandbox: Sandbox) -> list[Route]:
    """The page, its script, what changes on it, and where its buttons lead."""
    token = secrets.token_urlsafe(32)

    async def show(request: Request) -> Response:
        if wrong := _stranger(request):
            return _refused(wrong)
        return page("X sandbox", front.body(sandbox, token), head=HEAD + WITHOUT_SCRIPT, policy=POLICY)

    async def live(request: Request) -> Response:
        wrong = _stranger(request)
        return (
            _refused(wrong)
            if wrong
            else JSONResponse(front.live(sandbox, token), headers={"Cache-Control": "no-store"})
        )

    async def script(_: Request) -> Response:
        return Response(front_assets.SCRIPT, media_type="text/javascript")

    async def switch(request: Request) -> Response:
        if wrong := _stranger(request) or _elsewhere(request):
            return _refused(wrong)
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        if not hmac.compare_digest(form.pop("token", "").encode(), token.encode()):
            return _refused("The sandbox was started anew since this page was opened: load it again.")
        try:
            _CLICKS.get(form.pop("do", ""), _unknown)(sandbox, form)
        except NotDone as why:
            return PlainTextResponse(str(why), 422)
        return RedirectResponse("/", status_code=303)

    return [
        Route("/", show),
        Route("/live", live),
        Route("/page.js", script),
        Route("/switch", switch, methods=["POST"]),
    ]


def _refused(why: str) -> Response:
    return PlainTextResponse(why, 403)


def _stranger(request: Request) -> str | None:
    """Why another site may be behind this request, if so."""
    if not _local(request.headers.get("host", "")):
        return "Open this page by its address or as localhost: a name may be another site's."
    if request.headers.get("sec-fetch-site") not in SAME_SITE and request.headers.get("sec-fetch-mode") != "navigate":
        return "Another site may not read this page."
    return None


def _elsewhere(request: Request) -> str | None:
    """Why a click does not count, if it does not."""
    if request.headers.get("origin") != f"http://{request.headers['host']}":
        return "A click counts on this page alone."
    if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
        return (
            "Clicks count on the machine of the sandbox alone; elsewhere use `vivesphere sandbox` or the control plane."
        )
    return None


def _local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _preset(sandbox: Sandbox, form: Form) -> None:
    preset = PRESETS.get(form.get("preset", ""))
    if preset is None:
        raise NotDone("There is no such switch.")
    active = preset.active(sandbox.faults)
    if form.get("wanted") == "off":
        for number in active:
            del sandbox.faults.rules[number]
    elif not active:
        sandbox.faults.add(preset.rule)


def _off(sandbox: Sandbox, form: Form) -> None:
    if "id" not in form:
        sandbox.faults.clear()
    elif form["id"].isdecimal():
        sandbox.faults.rules.pop(int(form["id"]), None)


def _add(sandbox: Sandbox, form: Form) -> None:
    try:
        sandbox.faults.add(Rule.model_validate(form))
    except ValidationError as error:
        raise NotDone(_sentence(error)) from None


def _clock(sandbox: Sandbox, form: Form) -> None:
    try:
        set_clock(sandbox, NewTime.model_validate(form))
    except ValidationError as error:
        raise NotDone(_sentence(error)) from None
    except ValueError as error:
        raise NotDone(str(error)) from None


def _wall(sandbox: Sandbox, _: Form) -> None:
    set_clock(sandbox, NewTime(ahead_seconds=0, speed=1))


def _account(sandbox: Sandbox, form: Form) -> None:
    account = sandbox.accounts.find(form.get("username", ""))
    if account is None:
        raise NotDone("There is no such account.")
    if form.get("wanted") == "revoke":
        end_tokens(sandbox, account)
    else:
        sandbox.named_account(account.username, suspended=form.get("wanted") == "suspend")


def _unknown(_: Sandbox, __: Form) -> None:
    raise NotDone("There is no such button.")


def _sentence(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'this'}: {each['msg']}" for each in error.errors())


_CLICKS: dict[str, Callable[[Sandbox, Form], None]] = {
    "preset": _preset,
    "off": _off,
    "add": _add,
    "clock": _clock,
    "wall": _wall,
    "account": _account,
}
