"""Signing keys change under tokens that are in use."""

import pytest

from config.settings import Gateway, JwtKeys, Rotation
from deployments.gateway import tokens
from tasks.connections import Connections
from tasks.operations import signing_keys
from tasks.operations.rotation import recipe
from tasks.operations.rotation.recipe import Due
from tests.waiting import until

pytestmark = pytest.mark.promise("C2")

ONE = Due("jwt_keys", "gateway")


@pytest.fixture
def rotation() -> Rotation:
    return Rotation(lease_seconds=0.5, jwt_keys=JwtKeys(max_age_seconds=5, grace_seconds=1, publish_seconds=2))


@pytest.fixture
def gateway() -> Gateway:
    """Tokens live shorter than a person may set."""
    return Gateway.model_construct(access_token_seconds=10)


async def test_a_token_stays_good_and_the_old_key_goes_with_the_last_that_it_signed(
    at: Connections, at_gateway: Connections
) -> None:
    signer = await tokens.signer(at_gateway)
    first = signer.keys.keys[0].kid
    await until(lambda: _due(at))
    old = await signer.issue("olga", 1)
    await until(lambda: _ended(at, "rotated"))
    keys, _ = signing_keys.read(at)
    second = keys.keys[0].kid
    assert [second != first, keys.keys[1].kid == first] == [True, True]
    other = await tokens.signer(at_gateway)
    new = await other.issue("olga", 1)
    for one in (signer, other):
        assert {(await one.holder(token.value)).username for token in (old, new)} == {"olga"}
    await until(lambda: _due(at))
    done = await recipe.rotate_one(at, ONE)
    assert (done.found, "tokens that it has signed are good for" in done.said) == ("waiting", True)
    await until(lambda: _ended(at, "removed"))
    keys, _ = signing_keys.read(at)
    assert [key.kid for key in keys.keys] == [second]


async def _ended(at: Connections, found: str) -> bool:
    return (await recipe.rotate_one(at, ONE)).found == found


async def _due(at: Connections) -> bool:
    return ONE in await recipe.due(at)
