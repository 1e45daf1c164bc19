"""What the gateway holds open, and how it waits for a database and a vault that are not there yet."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from blocks.vault.errors import Missing, VaultError
from config.places import NotStartedError, Places
from deployments.gateway import first_sign_in, tokens
from deployments.gateway.tokens import Signer
from tasks.connections import Connections, open_connections
from tasks.operations import signing_keys
from tasks.operations.passwords import hashing
from tasks.store import base

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
LOOK_SECONDS = 2.0
# Anybody may ask for our health; the parts behind us are asked at most this often.
FRESH_SECONDS = 1.0

log = logging.getLogger("vivesphere.debug")


@dataclass(frozen=True)
class Ready:
    """The gateway at work."""

    connections: Connections
    signer: Signer


@dataclass
class Opening:
    """How far we are: `ready` once everything was reached, else `reason` says what is missing."""

    ready: Ready | None = None
    reason: str = "the gateway has just started"
    _looked_at: float = field(default=-FRESH_SECONDS)
    _problem: str | None = None

    async def problem(self) -> str | None:
        """What keeps us from serving now; None if nothing does."""
        if self.ready is None:
            return self.reason
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            self._looked_at = time.monotonic()
            self._problem = await _look(self.ready.connections)
        return self._problem


@asynccontextmanager
async def opening(places: Places) -> AsyncIterator[Opening]:
    """Open the connections in the background, for as long as it takes, and close them at the end."""
    found = Opening()
    async with AsyncExitStack() as stack:
        waiting = asyncio.create_task(_open(found, places, stack))
        try:
            yield found
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting


async def _open(found: Opening, places: Places, stack: AsyncExitStack) -> None:
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            async with AsyncExitStack() as attempt:
                at = await attempt.enter_async_context(open_connections("gateway", places))
                # The database first: without its schema there is nobody to sign in.
                await first_sign_in.ensure(at)
                await attempt.enter_async_context(at.following())
                await hashing(at).prepare()
                found.ready = Ready(at, await tokens.signer(at))
                stack.push_async_exit(attempt.pop_all())
                return
        except Exception as error:
            # Whatever is missing, giving up would end a program that everybody else waits for.
            found.reason = describe(error)
            log.warning("the gateway waits: %s", found.reason)
            if not isinstance(error, EXPECTED):
                log.exception("opening the gateway failed")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


EXPECTED = (VaultError, SQLAlchemyError, psycopg.Error, OSError, NotStartedError)


def describe(error: Exception) -> str:
    """What is missing, in a sentence that may be shown to anybody: no statement, no parameter, no address."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    match cause:
        case Missing():
            return "the vault does not hold the database's login yet: `vivesphere up` puts it there"
        case VaultError() | NotStartedError():
            return str(cause)
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedFunction():
            return "the database has no schema yet: `vivesphere up` makes it"
        case psycopg.Error() | SQLAlchemyError():
            # Which of the two it is, psycopg says in words alone, and those hold the address.
            name = type(cause).__name__
            return f"the database does not answer, or does not let us in ({name}): `vivesphere up` makes it"
        case OSError():
            return f"a file or address cannot be reached ({type(cause).__name__})"
    return f"an unexpected fault ({type(cause).__name__}); the debug log says more"


async def _look(at: Connections) -> str | None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            async with at.transaction() as session:
                await base.now(session)
            await asyncio.to_thread(at.kv.metadata, signing_keys.KEYS_PATH)
    except TimeoutError:
        return f"database or vault did not answer within {LOOK_SECONDS:.0f} s"
    except EXPECTED as error:
        return describe(error)
    return None
