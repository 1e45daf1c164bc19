"""What one process holds open; the first argument of every operation."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from blocks.postgres.engine import Known, Login, Server, open_engine
from blocks.vault.client import Vault
from blocks.vault.errors import VaultError
from blocks.vault.kv import Kv
from blocks.vault.leases import Leases
from blocks.vault.transit import Transit
from blocks.x.client import XClient
from config import logs
from config.loading import Loaded, settings
from config.overrides import overlay
from config.places import Places
from config.settings import AppRole, Settings
from tasks.store import settings as settings_store

T = TypeVar("T")

log = logging.getLogger("vivesphere.debug")

# Where the processes of the stack find the database login they share: the label that a rotation moves.
APP_LOGIN_PATH = "postgres/login"
# The one that `up` keeps, for when there is no other.
KEPT_LOGIN_PATH = "postgres/app"
# The sealer's own: it reads the audit and appends seals, and may do nothing else.
SEALER_LOGIN_PATH = "postgres/sealer"
# Roles whose policy names a login of their own, which may do less.
OWN_LOGIN_PATHS: Mapping[AppRole, str] = {"reader": "postgres/reader"}


@dataclass
class Connections:
    """Database, vault and X of one process in one event loop."""

    places: Places
    server: Server
    login: Callable[[], Any]
    engine: AsyncEngine
    kv: Kv
    x: XClient
    transit: Transit
    leases: Leases
    _kept: dict[type[Any], Any] = field(default_factory=dict)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One short transaction; it commits at the end of the block."""
        async with async_sessionmaker(self.engine, expire_on_commit=False).begin() as session:
            yield session

    @asynccontextmanager
    async def standing_session(self) -> AsyncIterator[AsyncSession]:
        """A session on one connection of its own, which ends with the block; each statement commits by itself."""
        async with self.engine.connect() as connection:
            try:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                async with AsyncSession(connection) as session:
                    yield session
            finally:
                # Not back into the pool: whatever lock it held goes with it.
                await connection.invalidate()

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncSession]:
        """A session whose every statement commits by itself: the server needs no further word of ours, so a process
        that freezes in the middle holds no lock."""
        async with AsyncSession(self.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
            yield session

    def kept(self, kind: type[T], make: Callable[[], T]) -> T:
        """The one `kind` of this process, made at the first call."""
        if kind not in self._kept:
            self._kept[kind] = make()
        return cast(T, self._kept[kind])

    @asynccontextmanager
    async def following(self, *also: "Connections") -> AsyncIterator[None]:
        """Take settings over as people change them, for the length of the block; those that stand at once.

        `also`: other connections of this process, which may not look themselves. Addresses stay: wiring is never
        changed while the stack runs.
        """
        follower = _Follower((self, *also), self.places.settings)
        await follower.look()
        looking = asyncio.create_task(follower.work())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    @classmethod
    @asynccontextmanager
    async def shared(cls, role: AppRole) -> AsyncIterator["Connections"]:
        """The connections of this process in this loop, opened by the first who asks and closed by the last."""
        key = (role, id(asyncio.get_running_loop()))
        share = _shares.setdefault(key, _Share())
        share.users += 1
        try:
            async with share.opening:
                if share.connections is None:
                    logs.configure(f"flow run as {role}", Places(settings()))
                    at = await share.stack.enter_async_context(open_connections(role))
                    await share.stack.enter_async_context(at.following())
                    share.connections = at
            yield share.connections
        finally:
            share.users -= 1
            if share.users == 0:
                _shares.pop(key, None)
                await share.stack.aclose()


@dataclass
class _Follower:
    """Lays the overrides in Postgres over what this machine's sources say."""

    at: Sequence[Connections]
    own: Settings
    revision: int | None = None

    async def work(self) -> None:
        while True:
            await asyncio.sleep(self.at[0].places.settings.postgres.overrides_seconds)
            await self.look()

    async def look(self) -> None:
        try:
            async with self.at[0].transaction() as session:
                revision = await settings_store.revision(session)
                if revision == self.revision:
                    return
                found = overlay(Loaded(self.own, {}), await settings_store.in_force(session))
        except (SQLAlchemyError, OSError, VaultError) as error:
            # Without overrides everything works; a database that is away is complained of by those who need it.
            log.warning("settings were not looked up, the known ones stay: %s", type(error).__name__)
            return
        self.revision = revision
        for one in found.ignored:
            log.warning("setting %s", one)
        for connections in self.at:
            connections.places = Places(found.loaded.settings)
            await connections.x.resize(found.loaded.settings.posting.lanes)


@dataclass
class _Share:
    users: int = 0
    connections: Connections | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


_shares: dict[tuple[str, int], _Share] = {}


@asynccontextmanager
async def open_connections(
    role: AppRole, places: Places | None = None, login_path: str | None = None, own_login: Login | None = None
) -> AsyncIterator[Connections]:
    """Open everything as `role` sees it; nothing is asked of the network before it is needed.

    With `own_login` the database is reached without the vault.
    """
    places = places or Places(settings())
    wanted = places.settings
    vault = Vault.for_role(places, role)
    kv = Kv(vault, wanted.vault.kv_mount, wanted.vault.readers)
    path = login_path or OWN_LOGIN_PATHS.get(role, APP_LOGIN_PATH)

    async def login() -> Login:
        if own_login is not None:
            return own_login
        secret = await asyncio.to_thread(kv.read, path)
        return Login(secret.data["username"], secret.data["password"])

    host, port = places.postgres
    server = Server(
        host,
        port,
        wanted.postgres.database,
        tls=wanted.postgres.tls if wanted.postgres.address else "disable",
        connect_timeout_seconds=wanted.postgres.connect_timeout_seconds,
    )
    known = Known()
    engine = open_engine(
        server, login, application=f"vivesphere {role}", pool_size=wanted.postgres.pool_size, known=known
    )
    x = XClient(
        places.x,
        lanes=wanted.posting.lanes,
        connect_timeout_seconds=wanted.x.connect_timeout_seconds,
        deadline_seconds=wanted.x.deadline_seconds,
        ca_file=wanted.x.ca_file,
    )
    async with x:
        watching = asyncio.create_task(_watch(known, login, wanted.postgres.login_seconds))
        try:
            yield Connections(
                places,
                server,
                login,
                engine,
                kv,
                x,
                Transit.of(vault, wanted.vault),
                Leases(vault, wanted.vault.database_mount),
            )
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await engine.dispose()
            await asyncio.to_thread(vault.close)


async def _watch(known: Known, login: Callable[[], Awaitable[Login]], every_seconds: float) -> None:
    """Let the pool go over to another login once the vault names one; the one before is good for its grace."""
    while True:
        await asyncio.sleep(every_seconds)
        if known.login is None:
            continue
        try:
            newest = await login()
        except VaultError as error:
            log.info("the vault does not say whether the database login has changed: %s", error)
            continue
        if newest != known.login:
            log.info("the database is reached by another login from here on")
            known.login = newest
