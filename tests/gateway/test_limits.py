"""Who asks too much is told so, and when to come back."""

import httpx
import pytest

from config.places import Places
from tasks.domain.roles import system
from tasks.operations import api_keys, users
from tests.gateway.conftest import Front


@pytest.fixture
def places(places: Places) -> Places:
    """Three changes a minute."""
    gateway = places.settings.gateway.model_copy(update={"changes_per_minute": 3, "reads_per_minute": 12})
    return Places(places.settings.model_copy(update={"gateway": gateway}))


async def test_changes_of_one_client_have_an_end_and_nobody_else_feels_it(front: Front) -> None:
    at = front.app.state.opening.ready.connections
    user_id = (await users.add(at, "busy", None, system("tests"))).user.id
    await users.assign(at, user_id, "operator", None, None, system("tests"))
    key = (await api_keys.create(at, user_id, "key", system("tests"))).secret
    headers = {"Authorization": f"Bearer {key}"}

    async def change() -> httpx.Response:
        return await front.anybody.post("/api/v1/posts", json=[], headers=headers)

    for _ in range(3):
        assert (await change()).status_code == 422
    refused = await change()
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:vivesphere:problem:too-many-requests")
    assert int(refused.headers["retry-after"]) > 0 and refused.headers["ratelimit"].startswith('"changes";r=0;')
    looked = await front.anybody.get("/api/v1/posts", headers=headers)
    assert looked.status_code == 200 and looked.headers["ratelimit"].startswith('"reads";r=11;')
    assert (await front.call("POST", "/posts", json=[])).status_code == 422
