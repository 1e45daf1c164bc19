"""Hashing of passwords: few at a time, in a line of bounded length."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tasks.connections import Connections


class BusyError(RuntimeError):
    """More people sign in at once than wait here; nothing was looked at."""

    def __init__(self) -> None:
        super().__init__("too many sign-ins at once; try again in a moment")


class Hashing:
    """Argon2 takes 64 MB and a core for each password: without a bound, a flood of sign-ins is a flood of memory."""

    def __init__(self, slots: int, line: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._places = slots + line
        self._taken = 0
        self._hasher = PasswordHash((Argon2Hasher(),))
        self._stand_in: str | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a slot; raises BusyError where the line is full."""
        if self._taken >= self._places:
            raise BusyError
        self._taken += 1
        try:
            async with self._slots:
                yield
        finally:
            self._taken -= 1

    async def prepare(self) -> None:
        """Make the hash that is checked where there is none, so that the first stranger waits no longer than others."""
        self._stand_in = await asyncio.to_thread(self._hasher.hash, secrets.token_urlsafe(32))

    async def fits(self, password: str, hashed: str | None) -> bool:
        """Whether a password fits; where there is no hash the answer is no, and takes as long."""
        if self._stand_in is None:
            await self.prepare()
        right = await asyncio.to_thread(self._hasher.verify, password, hashed or str(self._stand_in))
        return right and hashed is not None

    async def hashed(self, password: str) -> str:
        """What is stored of a password."""
        async with self.turn():
            return await asyncio.to_thread(self._hasher.hash, password)


def hashing(at: Connections) -> Hashing:
    """The one of this process."""
    wanted = at.places.settings.gateway
    return at.kept(Hashing, lambda: Hashing(wanted.hashing_slots, wanted.hashing_line))
