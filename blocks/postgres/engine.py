"""Pools of connections whose password may change underneath."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@dataclass(frozen=True)
class Login:
    """A database role and its password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Server:
    """Where the database is, and how to speak to it."""

    host: str
    port: int
    database: str
    tls: str = "prefer"
    connect_timeout_seconds: int = 5

    async def connect(
        self, login: Login, application: str, autocommit: bool = False
    ) -> "psycopg.AsyncConnection[object]":
        """One connection outside any pool, such as the one that listens for notifications."""
        return await psycopg.AsyncConnection.connect(
            host=self.host,
            port=self.port,
            dbname=self.database,
            user=login.user,
            password=login.password,
            sslmode=self.tls,
            connect_timeout=self.connect_timeout_seconds,
            application_name=application,
            autocommit=autocommit,
        )


@dataclass
class Known:
    """The login that a pool connects by now; set it to another, and the pool goes over to that."""

    login: Login | None = None


def open_engine(
    server: Server,
    login: Callable[[], Awaitable[Login]],
    *,
    application: str,
    pool_size: int,
    known: Known | None = None,
) -> AsyncEngine:
    """An engine over `server`; each connection is tested before it is lent, so that a restart of the database is
    felt by nobody who did not speak at that moment.

    The login is asked for once, and again when the server does not take it: a vault that is away keeps no pool from
    growing. Once `known` is set to the login of another role, each connection of the one before is exchanged when it is
    asked for next; the statement that asked runs on the new one.
    """
    now = Known() if known is None else known

    async def connect() -> "psycopg.AsyncConnection[object]":
        if now.login is None:
            now.login = await login()
        tried = now.login
        try:
            return await server.connect(tried, application)
        except psycopg.OperationalError:
            # Nothing but text tells a refused password from a server that is away: see whether there is a newer one.
            newer = await login()
            if newer == tried:
                raise
            now.login = newer
        return await server.connect(newer, application)

    def checked(connection: Any, _record: Any, _proxy: Any) -> None:
        if now.login is not None and connection.driver_connection.info.user != now.login.user:
            raise DisconnectionError(f"the login of {application} has changed")

    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_timeout=30,
        # An exception that prints its parameters would carry texts and hashes into the logs.
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", checked)
    return engine
