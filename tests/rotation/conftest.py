"""The recipe on a fresh database and the session's vault."""

from collections.abc import AsyncIterator

import pytest

from blocks.postgres.engine import Login, Server
from config.places import Places
from config.settings import Gateway, Postgres, Rotation, Settings, X
from tasks.connections import Connections, open_connections
from tests.openbao_process import shared_openbao
from tests.postgres_process import PostgresProcess


def places_of(server: Server, rotation: Rotation, gateway: Gateway) -> Places:
    """The shared vault, and a database of the test's own; X is asked nothing here."""
    there = shared_openbao().places.settings
    return Places(
        Settings(
            home=there.home,
            vault=there.vault,
            stack=there.stack,
            postgres=Postgres(address=f"{server.host}:{server.port}", database=server.database, tls="disable"),
            x=X(base_url="http://127.0.0.1:9"),
            rotation=rotation,
            gateway=gateway,
        )
    )


@pytest.fixture
def rotation() -> Rotation:
    """The settings; a test that wants others overrides it."""
    return Rotation(lease_seconds=0.5)


@pytest.fixture
def gateway() -> Gateway:
    """As `rotation`."""
    return Gateway()


@pytest.fixture
async def at_gateway(at: Connections, postgres: PostgresProcess) -> AsyncIterator[Connections]:
    """The same parts as the gateway sees them."""
    login = Login("vivesphere_app", postgres.password)
    async with open_connections("gateway", at.places, own_login=login) as found:
        yield found


@pytest.fixture
async def at(
    database: Server, postgres: PostgresProcess, rotation: Rotation, gateway: Gateway
) -> AsyncIterator[Connections]:
    """What a rotating process holds open, as the role `keys`."""
    login = Login("vivesphere_app", postgres.password)
    async with open_connections("keys", places_of(database, rotation, gateway), own_login=login) as found:
        yield found
