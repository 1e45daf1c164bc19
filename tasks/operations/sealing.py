"""Sealing the audit: what was committed is hashed, signed by the vault, and the last seal kept where no owner of the
database reaches it."""

import asyncio
import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from sqlalchemy.exc import IntegrityError

from blocks.vault.errors import Conflict, Missing, Refused
from blocks.vault.kv import Kv
from config.places import Places
from config.settings import Audit
from tasks.connections import Connections
from tasks.domain.audit import ANCHOR_PATH, AUDIT_KEY, Seal, next_seal, seal_from_json, signed_by, to_json
from tasks.operations.patience import PASSING
from tasks.store import audit

log = logging.getLogger("vivesphere.security")

# A complaint that would come with every look is repeated this often.
REPEAT_SECONDS = 30.0
# So many times another sealer may be quicker before it is told.
CONFLICTS_MAX = 3


@dataclass(frozen=True)
class Anchored:
    """The last seal as the vault keeps it, and the version to write over."""

    seal: Seal | None
    version: int


def read_anchor(kv: Kv) -> Anchored:
    """What is kept in the vault; it blocks. Raises VaultError, also where what is there is no seal."""
    try:
        secret = kv.read(ANCHOR_PATH)
    except Missing:
        return Anchored(None, 0)
    try:
        return Anchored(seal_from_json(json.loads(secret.data["seal"])), secret.version)
    except (ValueError, KeyError, TypeError):
        problem = Refused(
            f"{ANCHOR_PATH} in the vault holds no seal: somebody wrote over it; an older version may have it"
        )
    raise problem


class Sealer:
    """One that may seal; of several, the one that holds the lock does."""

    def __init__(self, at: Connections) -> None:
        self._at = at
        self._anchor: Anchored | None = None
        self._complained: dict[str, float] = {}
        self._conflicts = 0

    @property
    def _settings(self) -> Audit:
        return self._at.places.settings.audit

    async def work(self, ended: asyncio.Event) -> None:
        """Seal until `ended`; a database or vault that is away is waited for, and rows wait with it."""
        while not ended.is_set():
            try:
                await self._lead(ended)
            except PASSING as error:
                self._complain("the audit is not sealed, its rows wait: %s", error)
                await _pause(ended, self._settings.seal_seconds)

    async def _lead(self, ended: asyncio.Event) -> None:
        """Hold one connection, and with it the lock; while another sealer has it, stand by."""
        async with self._at.standing_session() as held:
            leads = False
            while not ended.is_set():
                leads = await audit.still_there(held) if leads else await audit.lead(held)
                if leads:
                    await self.seal_all()
                await _pause(ended, self._settings.seal_seconds)

    async def seal_all(self) -> int:
        """Seal whatever may be sealed now, batch by batch; answers the number of rows."""
        sealed = 0
        while found := await self._seal_once():
            sealed += found
            if found < self._settings.batch:
                break
        return sealed

    async def _seal_once(self) -> int:
        async with self._at.transaction() as session:
            last = await audit.last_seal(session)
            horizon = await audit.horizon(session)
            since = last.below if last else 0
            rows = await audit.to_seal(session, since, horizon, self._settings.batch)
            waiting, oldest = (0, None) if rows else await audit.waiting(session, min(since, horizon.xmin))
        if oldest is not None and (horizon.now - oldest).total_seconds() > self._settings.late_seconds:
            self._complain(
                "%d rows of the audit cannot be sealed: a transaction that began before them is open", waiting
            )
        if not rows:
            await self._catch_up(last)
            return 0
        base = await self._base(last)
        below = horizon.xmin if len(rows) < self._settings.batch else rows[-1].xid
        unsigned, leaves = next_seal(rows, base, below, horizon.now)
        seal = replace(unsigned, signature=await asyncio.to_thread(self._at.transit.sign, AUDIT_KEY, unsigned.content))
        try:
            async with self._at.transaction() as session:
                await audit.add_seal(session, seal)
                await audit.add_leaves(session, seal, leaves)
        except IntegrityError:
            # Another sealer was quicker, while we thought that we still led: its seal stands, ours never was. Again and
            # again it means that somebody wrote seals or hashes by hand.
            self._conflicts += 1
            if self._conflicts > CONFLICTS_MAX:
                self._complain("the audit is not sealed: seal %d or a place in it is taken already", seal.number)
            return 0
        self._conflicts = 0
        await self._keep(seal)
        return len(rows)

    async def _base(self, last: Seal | None) -> Seal | None:
        """What the next seal follows: the last one here, or the anchored one where the tail here was cut.

        Going on after the anchored one leaves the gap in sight for ever.
        """
        anchor = (await self._known_anchor()).seal
        if anchor is None or (last is not None and last.number >= anchor.number):
            return last
        self._complain(
            "seal %d of the audit is anchored, here the last is %s: rows were cut off; see `vivesphere audit verify`",
            anchor.number,
            last.number if last else "none",
        )
        return anchor

    async def _catch_up(self, last: Seal | None) -> None:
        """Anchor a seal that was written and not anchored, because the sealer ended or the vault was away."""
        anchor = (await self._known_anchor()).seal
        if last is None or (anchor is not None and last.number <= anchor.number):
            return
        keys = await asyncio.to_thread(self._at.transit.verifying_keys, AUDIT_KEY)
        if signed_by(keys)(last):
            await self._keep(last)
        else:
            self._complain("seal %d of the audit is not signed by the vault and is not anchored", last.number)

    async def _known_anchor(self) -> Anchored:
        if self._anchor is None:
            self._anchor = await asyncio.to_thread(read_anchor, self._at.kv)
        return self._anchor

    async def _keep(self, seal: Seal) -> None:
        known = await self._known_anchor()
        said = json.dumps(to_json(seal), sort_keys=True)
        try:
            version = await asyncio.to_thread(
                self._at.kv.write_once, ANCHOR_PATH, {"seal": said}, known.version, str(uuid4())
            )
        except Conflict:
            # Another sealer anchored: look again, and go by what is there.
            self._anchor = None
            return
        except PASSING:
            self._anchor = None
            raise
        self._anchor = Anchored(seal, version)
        await asyncio.to_thread(_write_last, self._at.places, said)

    def _complain(self, said: str, *what: object) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._complained.get(said, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._complained[said] = now
            log.error(said, *what)


async def _pause(ended: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), seconds)


def _write_last(places: Places, said: str) -> None:
    """In one step, so that whoever copies the file never finds half of it."""
    path = places.last_seal
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{said}\n", encoding="utf-8")
    os.replace(fresh, path)
