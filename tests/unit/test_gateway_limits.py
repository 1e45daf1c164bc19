"""How much one client may ask for in a minute."""

import pytest

from config.settings import Gateway
from deployments.gateway.limits import Limits
from deployments.gateway.problems import ProblemError
from tasks.domain.roles import Actor, Grant, Role

SETTINGS = Gateway(reads_per_minute=12, changes_per_minute=3, own_per_minute=100)


def actor(name: str, role: Role) -> Actor:
    return Actor(name, "key", frozenset({Grant(role)}))


async def test_looking_and_changing_are_counted_apart_and_by_client() -> None:
    limits = Limits(lambda: SETTINGS)
    one, other = actor("one", "operator"), actor("other", "operator")
    for left in (2, 1, 0):
        taken = await limits.take(one, reads=False)
        assert taken is not None and taken.left == left
    with pytest.raises(ProblemError) as refused:
        await limits.take(one, reads=False)
    assert (refused.value.status, refused.value.problem) == (429, "too-many-requests")
    headers = refused.value.headers or {}
    assert headers["RateLimit-Policy"] == '"changes";q=3;w=60'
    assert headers["RateLimit"].startswith('"changes";r=0;t=')
    assert 50 <= int(headers["Retry-After"]) <= 60
    for _ in range(12):
        assert await limits.take(one, reads=True)
    with pytest.raises(ProblemError):
        await limits.take(one, reads=True)
    assert await limits.take(other, reads=False)


async def test_a_worker_is_not_counted_and_the_command_line_has_a_measure_of_its_own() -> None:
    limits = Limits(lambda: SETTINGS)
    for _ in range(50):
        assert await limits.take(actor("w", "worker"), reads=False) is None
        own = await limits.take(actor("admin/cli", "admin"), reads=False)
        assert own is not None and own.kind == "own"
    # The person whose key it is keeps all of his.
    for _ in range(3):
        assert await limits.take(actor("admin", "admin"), reads=False)


async def test_tries_to_sign_in_are_counted_by_where_they_come_from() -> None:
    limits = Limits(lambda: SETTINGS)
    for _ in range(3):
        await limits.take_sign_in("192.0.2.1")
    with pytest.raises(ProblemError):
        await limits.take_sign_in("192.0.2.1")
    assert await limits.take_sign_in("192.0.2.2")
