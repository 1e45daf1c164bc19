"""Our own pages: made here from templates, whole without a script, and with nothing from anywhere else."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from config.loading import APP_ROOT
from deployments.gateway.origins import same_origin
from deployments.gateway.problems import ProblemError, from_router

STYLE = "/console/style.css"
# Whoever opens these wants the document, in a browser too.
API = "/api/"
# Forms go to us alone. The referrer stays within this site: a browser that hides it hides the origin of a form as well.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

router = APIRouter(include_in_schema=False)
_templates = Environment(
    loader=PackageLoader("deployments.gateway.console"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["day"] = lambda instant: instant.strftime("%Y-%m-%d")
_templates.filters["minute"] = lambda instant: instant.strftime("%Y-%m-%d %H:%M UTC")
_templates.filters["words"] = lambda text: text.replace("`", "")
_style = (APP_ROOT / "deployments" / "gateway" / "console" / "style.css").read_bytes()


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page made from a template; every value is escaped."""
    html = _templates.get_template(f"{template}.html.j2").render(style=STYLE, **values)
    return HTMLResponse(html, status, HEADERS)


def message(status: int, title: str, *sentences: str, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """A page that says something, and asks nothing."""
    found = page("message", status, title=title, sentences=sentences)
    found.headers.update(headers or {})
    return found


async def problem(request: Request, error: Exception) -> Response:
    """A problem as a page where a person opened an address or sent a form of ours, else as the document it is."""
    found = cast(ProblemError, error)
    if found.status < 400 or request.headers.get("sec-fetch-mode") != "navigate" or request.url.path.startswith(API):
        return await from_router(request, error)
    said = f"{found.detail[:1].upper()}{found.detail[1:]}."
    return message(found.status, HTTPStatus(found.status).phrase, said, headers=found.headers)


def go(address: str) -> RedirectResponse:
    """Lead the browser on with GET, after a form."""
    return RedirectResponse(address, 303, HEADERS)


def from_our_page(request: Request) -> None:
    """The dependency of every form: raises 403 where it was sent from elsewhere."""
    if not same_origin(request.scope):
        raise ProblemError(403, "cross-site", "this form was sent from another site: open the page here and try again")


@router.get(STYLE)
async def style() -> Response:
    """How our pages look."""
    return Response(_style, media_type="text/css", headers={"Cache-Control": "no-cache"})
