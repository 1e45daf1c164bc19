"""How long a refusal takes tells nothing of why."""

import random
import time
from itertools import product

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from config.places import Places
from tests.gateway.conftest import PASSWORD, Front, a_user

Sessions = async_sessionmaker[AsyncSession]
TRIES = 16
# Of all pairs of two kinds the share in which the first took longer: a half where both take the same, with a spread
# of 0.1 for so many tries; 0 or 1 where one of them checks no password.
SHARES = (0.1, 0.9)


@pytest.fixture
def places(places: Places) -> Places:
    """Nobody is sent away before his password is looked at."""
    wide = {"attempts_max": 1000, "client_attempts_max": 100_000, "changes_per_minute": 1_000_000}
    gateway = places.settings.gateway.model_copy(update=wide)
    return Places(places.settings.model_copy(update={"gateway": gateway}))


async def test_a_refusal_takes_as_long_and_says_the_same_whatever_its_reason(front: Front, sessions: Sessions) -> None:
    for name in ("anna", "gone", "locked"):
        await a_user(front, name)
    (await front.call("POST", "/users/gone/disable")).raise_for_status()
    async with sessions.begin() as session:
        await session.execute(text("INSERT INTO sign_in_attempts (subject, attempts) VALUES ('user locked', 1000)"))
    wrong = "not this one"
    tried = {
        "wrong password": ("anna", wrong),
        "unknown": ("nobody", wrong),
        "disabled": ("gone", PASSWORD),
        "locked": ("locked", PASSWORD),
    }
    took: dict[str, list[float]] = {kind: [] for kind in tried}
    said = set()
    turns = [kind for kind in tried for _ in range(TRIES)]
    random.Random(7).shuffle(turns)  # noqa: S311  # by turns, so that a busy moment of the machine meets all alike
    for kind in ["unknown", "wrong password", *turns]:
        username, password = tried[kind]
        began = time.perf_counter()
        answer = await front.anybody.post("/api/v1/auth/login", json={"username": username, "password": password})
        took[kind].append(time.perf_counter() - began)
        said.add((answer.status_code, answer.text))
    assert len(said) == 1 and next(iter(said))[0] == 401
    for kind in ("unknown", "disabled", "locked"):
        pairs = list(product(took[kind][-TRIES:], took["wrong password"][-TRIES:]))
        share = sum(one > other for one, other in pairs) / len(pairs)
        print(f"{kind} took longer than a wrong password in {share:.2f} of {len(pairs)} pairs")
        assert (kind, SHARES[0] <= share <= SHARES[1]) == (kind, True), took
