"""Which site a request comes from: a cookie travels with every request of a browser, whoever made the page."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def same_origin(scope: Scope) -> bool:
    """True where the browser says that a page of ours made this request, or opened this websocket.

    Sec-Fetch-Site where the browser sends it; Origin against the host that was asked else. A program that sends
    neither has no business with a cookie: it brings a token or a key.
    """
    headers = Headers(scope=scope)
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(headers.get("origin", ""))
    return bool(origin.netloc) and (origin.scheme, origin.netloc) == (_scheme(scope), headers.get("host"))


def changes(scope: Scope) -> bool:
    """True for what must come from a page of ours: every websocket, and every method that changes something."""
    return bool(scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS)


def _scheme(scope: Scope) -> str:
    return {"ws": "http", "wss": "https"}.get(scope["scheme"], str(scope["scheme"]))
