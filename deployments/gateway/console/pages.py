"""Our own pages: made here from templates, whole without a script, and with nothing from anywhere else."""

from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from config.loading import APP_ROOT
from deployments.gateway.origins import same_origin
from deployments.gateway.problems import ProblemError

STYLE = "/console/style.css"
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
_style = (APP_ROOT / "deployments" / "gateway" / "console" / "style.css").read_bytes()


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page made from a template; every value is escaped."""
    html = _templates.get_template(f"{template}.html.j2").render(style=STYLE, **values)
    return HTMLResponse(html, status, HEADERS)


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
