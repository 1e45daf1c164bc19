"""Prefect's REST API for the supervisor: plain HTTP, because importing Prefect costs a second and 100 MB."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx

from config.places import Places
from deployments.local import environment

TIMEOUT_SECONDS = 10.0
PAGE = 200


def client(places: Places) -> httpx.Client:
    """A client of the server; the caller closes it."""
    auth = environment.prefect_auth(places)
    headers = {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"} if auth else {}
    return httpx.Client(base_url=places.prefect, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)


def refusal(places: Places) -> str | None:
    """None if the server answers and lets us in, else what it or the network said."""
    try:
        with client(places) as api:
            answer = api.get("/admin/version")
    except (OSError, httpx.HTTPError) as error:
        return str(error) or type(error).__name__
    return None if answer.is_success else f"HTTP {answer.status_code}"


def filtered(api: httpx.Client, path: str, **criteria: Any) -> Iterator[dict[str, Any]]:
    """Every object that a `/filter` route finds, page by page; do not change what is filtered for while reading."""
    offset = 0
    while True:
        answer = api.post(f"{path}/filter", json={**criteria, "limit": PAGE, "offset": offset})
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        yield from found
        if len(found) < PAGE:
            return
        offset += PAGE
