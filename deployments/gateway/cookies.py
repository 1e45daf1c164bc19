"""The cookie of a session: what it is called, and what a browser may do with it."""

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from tasks.operations.access import SESSION_PREFIX

# A browser takes a cookie of the first name only where it is secure, for the whole host and from nobody else. On
# loopback without TLS Chromium takes it too (measured, 150: http://127.0.0.1 and http://localhost), but not every
# browser does; there it has another name, so that neither is ever taken for the other.
SECURE_NAME = "__Host-vivesphere"
PLAIN_NAME = "vivesphere"


def read(scope: Scope) -> str | None:
    """The secret that the browser shows; None where it shows none."""
    found = HTTPConnection(scope).cookies.get(_name(scope))
    return found if found and found.startswith(SESSION_PREFIX) else None


def give(response: Response, scope: Scope, secret: str, seconds: int) -> None:
    """Let the browser keep a session's secret: for no script and no other site, and as long as the session lasts."""
    response.set_cookie(
        _name(scope), secret, max_age=seconds, path="/", secure=_is_secure(scope), httponly=True, samesite="lax"
    )


def take(response: Response, scope: Scope) -> None:
    """Let the browser forget it."""
    response.delete_cookie(_name(scope), path="/", secure=_is_secure(scope), httponly=True, samesite="lax")


def _name(scope: Scope) -> str:
    return SECURE_NAME if _is_secure(scope) else PLAIN_NAME


def _is_secure(scope: Scope) -> bool:
    return scope["scheme"] in ("https", "wss")
