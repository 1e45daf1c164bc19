"""Which requests count as made by a page of ours."""

import pytest

from deployments.gateway.origins import changes, same_origin

HOST = (b"host", b"127.0.0.1:8000")


def request(*headers: tuple[bytes, bytes], scheme: str = "http", kind: str = "http", method: str = "POST") -> dict:  # type: ignore[type-arg]
    return {"type": kind, "method": method, "scheme": scheme, "headers": [HOST, *headers]}


@pytest.mark.parametrize(
    "headers",
    [
        [(b"sec-fetch-site", b"same-origin")],
        # A browser says no-referrer by hiding the origin; what it says of the site still holds.
        [(b"sec-fetch-site", b"same-origin"), (b"origin", b"null")],
        [(b"origin", b"http://127.0.0.1:8000")],
    ],
)
def test_a_page_of_ours_is_let_through(headers: list[tuple[bytes, bytes]]) -> None:
    assert same_origin(request(*headers))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"origin", b"null")],
        [(b"origin", b"https://127.0.0.1:8000")],
        [(b"origin", b"http://127.0.0.1:8001")],
        [(b"origin", b"http://127.0.0.1:8000.example.org")],
        [(b"sec-fetch-site", b"same-site"), (b"origin", b"http://127.0.0.1:8000")],
        [(b"sec-fetch-site", b"cross-site")],
        [(b"sec-fetch-site", b"none")],
        [(b"referer", b"http://127.0.0.1:8000/account")],
    ],
)
def test_everything_else_is_not(headers: list[tuple[bytes, bytes]]) -> None:
    assert not same_origin(request(*headers))


def test_a_websocket_has_the_origin_of_its_page() -> None:
    origin = (b"origin", b"https://127.0.0.1:8000")
    assert same_origin(request(origin, scheme="wss", kind="websocket"))
    assert not same_origin(request(origin, scheme="ws", kind="websocket"))


def test_what_only_looks_may_come_from_anywhere_but_no_websocket() -> None:
    assert not any(changes(request(method=method)) for method in ("GET", "HEAD", "OPTIONS"))
    assert all(changes(request(method=method)) for method in ("POST", "PUT", "PATCH", "DELETE", "SOMETHING"))
    assert changes({"type": "websocket", "scheme": "ws", "headers": []})
