"""A pool whose password changes underneath."""

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from blocks.postgres.engine import Login, Server, open_engine
from tests.postgres_process import PostgresProcess


class Vault:
    """Hands out logins, counts how often it is asked, and can be away."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.asked = 0

    async def login(self) -> Login:
        """The login as it is now."""
        self.asked += 1
        return Login("changing", self.password)


async def test_a_login_is_asked_for_once_and_again_when_it_is_refused(
    postgres: PostgresProcess, database: Server
) -> None:
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE ROLE changing LOGIN PASSWORD 'first'")  # pragma: allowlist secret
        vault = Vault("first")
        engine = open_engine(database, vault.login, application="tests", pool_size=4)
        try:
            async with engine.connect(), engine.connect(), engine.connect():
                assert vault.asked == 1
            await engine.dispose()
            admin.execute("ALTER ROLE changing PASSWORD 'second'")  # pragma: allowlist secret
            with pytest.raises(OperationalError):
                await engine.connect()
            vault.password = "second"  # pragma: allowlist secret
            async with engine.connect() as connection:
                assert (await connection.execute(text("SELECT current_user"))).scalar_one() == "changing"
        finally:
            await engine.dispose()
            admin.execute("DROP ROLE changing")


def test_a_login_does_not_show_its_password() -> None:
    assert "planted" not in repr(Login("user", "planted-password"))
