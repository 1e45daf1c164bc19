"""Makes backups of the running stack: vault and database as of one instant, and apart from them the keys.

docs/guide/backup.md says what is in an archive, what is not, and what to keep where.
"""

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from blocks.postgres.engine import Login
from config.places import Places
from deployments.local import archive, board, database_engine, databases, layout, openbao, postgres, vault_provisioning
from deployments.local.archive import DATABASE, SUFFIX, VAULT, Manifest
from tasks.connections import Connections, open_connections
from tasks.domain.roles import Actor
from tasks.operations import activity, restores
from tasks.operations.restores import Origin
from tasks.store import base
from tasks.store import restores as epochs

KEYS_FORMAT = 1


class BackupError(RuntimeError):
    """No backup was made, or its keys cannot be used; the text says what stands in the way and what to do."""


@dataclass(frozen=True)
class Made:
    """A backup, and where it lies."""

    file: Path
    made_at: datetime
    bytes: int
    seconds: float
    handed_over: bool


@dataclass(frozen=True)
class Known:
    """What this machine remembers of its last backup, and whether the keys were ever taken out."""

    last: Mapping[str, Any] | None
    keys_taken_at: datetime | None

    @property
    def made_at(self) -> datetime | None:
        """When the last backup was made."""
        return datetime.fromisoformat(self.last["made_at"]) if self.last else None


async def make(places: Places, to: Path | None, actor: Actor, *, hand_over: bool = False) -> Made:
    """Copy vault and database into one archive while posts go out; with `hand_over` this stack stops for good before.

    Raises BackupError, RefreshesBusyError, StillOpenError, and what vault and database say.
    """
    _can_be_made(places)
    began = datetime.now(UTC)
    folder = to or places.settings.backup.folder or places.home / "backups"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mine = f"vivesphere-{places.stack[:8]}-"
    file = folder / f"{mine}{began:%Y%m%dT%H%M%SZ}{SUFFIX}"
    key = unseal_key(places)
    login = Login(databases.admin_user(places), databases.admin_password(places))
    async with open_connections("keys", places, own_login=login) as at:
        handed_over = await _handed_over(at, actor, hand_over)
        async with restores.refreshes_paused(at):
            # Beside the archive, where there is room for it. One that was killed left the whole database readable.
            for left in folder.glob(f".{mine}*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=f".{mine}", dir=folder) as scratch:
                parts = {name: Path(scratch) / name for name in (VAULT, DATABASE)}
                origin = await _here(at, handed_over)
                # The vault first: an audit that is ahead of its anchor is whole, one that is behind was cut.
                await asyncio.to_thread(openbao.snapshot, places, parts[VAULT])
                await asyncio.to_thread(postgres.dump, places, places.settings.postgres.database, parts[DATABASE])
                # The copy knows how to make and end logins of this database: from now on it cannot.
                await asyncio.to_thread(database_engine.provision, places, databases.passwords(places))
                manifest = await _manifest(at, places, origin, key, parts)
                archive.write(file, manifest, parts, key)
        made = Made(file, manifest.made_at, file.stat().st_size, _seconds_since(began), handed_over)
        async with at.transaction() as session:
            await activity.note(session, actor, "backups.make", file.name, bytes=made.bytes, handed_over=handed_over)
    _remember(places, last={**asdict(made), "file": str(file), "made_at": made.made_at.isoformat()})
    drop_oldest(places, folder)
    return made


def known(places: Places) -> Known:
    """What this machine remembers; nothing of it is in a backup."""
    try:
        found = json.loads(_memory(places).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    taken = found.get("keys_taken_at")
    return Known(found.get("last"), datetime.fromisoformat(taken) if taken else None)


def take_keys(places: Places, to: Path) -> str:
    """Write what opens this stack's backups into a 0600 file, and answer the name of the key; raises BackupError."""
    are_ours(places)
    key = unseal_key(places)
    ids = vault_provisioning.supervisor_ids(places)
    said = {
        "format": KEYS_FORMAT,
        "key_id": archive.key_id(key),
        "unseal_key": key,
        "role_id": ids.role_id.read_text(encoding="utf-8").strip(),
        "secret_id": ids.secret_id.read_text(encoding="utf-8").strip(),
    }
    try:
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(said, indent=2) + "\n")
    except FileExistsError:
        raise BackupError(f"{to} exists: name a new file") from None
    except OSError as error:
        raise BackupError(f"{to} cannot be written: {error.strerror}") from None
    _remember(places, keys_taken_at=datetime.now(UTC).isoformat())
    return archive.key_id(key)


def read_keys(file: Path) -> Mapping[str, str]:
    """What `take_keys` wrote; raises BackupError."""
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if found["format"] != KEYS_FORMAT:
            raise BackupError(f"{file}: these keys are of format {found['format']}, this release reads {KEYS_FORMAT}")
        return {name: str(found[name]) for name in ("unseal_key", "role_id", "secret_id")}
    except FileNotFoundError:
        raise BackupError(f"{file}: there is no such file") from None
    except OSError as error:
        raise BackupError(f"{file}: it cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise BackupError(f"{file}: these are no keys: name the file that `vivesphere db keys` wrote") from None


def unseal_key(places: Places) -> str:
    """The key of the embedded vault; raises BackupError where there is none."""
    try:
        return openbao.unseal_key(places).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BackupError(f"{openbao.unseal_key(places)} cannot be read ({error.strerror})") from None


def _can_be_made(places: Places) -> None:
    are_ours(places)
    note = board.read(places.home)
    if note is None or note.phase != "up" or not note.supervisor.alive:
        raise BackupError(f"the stack in {places.home} is not up: `vivesphere up`, then again")


def are_ours(places: Places) -> None:
    """Raise BackupError for a part that somebody else runs: it is somebody else's to copy."""
    for name, address in (("postgres", places.settings.postgres.address), ("vault", places.settings.vault.address)):
        if address:
            raise BackupError(
                f"{name}.address names {address}, which this stack does not run: back it up there, as its own "
                "documentation says; docs/guide/backup.md tells what to mind"
            )


async def _handed_over(at: Connections, actor: Actor, wanted: bool) -> bool:
    """Whether this stack is handed over by now; one that waits for a person has nothing of its own to copy."""
    async with at.transaction() as session:
        epoch = await epochs.open_one(session)
    if epoch is not None and epoch.kind == "restored":
        raise restores.StillOpenError("this stack waits for `vivesphere db take-over`: keep the backup it came from")
    if epoch is None and wanted:
        await restores.hand_over(at, await _here(at, handed_over=False), actor)
    return epoch is not None or wanted


async def _here(at: Connections, handed_over: bool) -> Origin:
    async with at.transaction() as session:
        now = await base.now(session)
    return Origin(now, socket.gethostname(), str(at.places.home.resolve()), handed_over)


async def _manifest(at: Connections, places: Places, origin: Origin, key: str, parts: Mapping[str, Path]) -> Manifest:
    async with at.transaction() as session:
        transaction_id = await epochs.transaction_id(session)
        revision = await epochs.schema_revision(session)
    return Manifest(
        format=archive.FORMAT,
        made_at=datetime.now(UTC),
        backup_at=origin.backup_at,
        release=version("vivesphere"),
        revision=revision,
        postgres=databases.server_version(places),
        transaction_id=transaction_id,
        host=origin.host,
        home=origin.home,
        key_id=archive.key_id(key),
        handed_over=origin.tokens_unused,
        parts={name: archive.describe(path) for name, path in parts.items()},
    )


def _seconds_since(began: datetime) -> float:
    return round((datetime.now(UTC) - began).total_seconds(), 2)


def drop_oldest(places: Places, folder: Path) -> None:
    """Keep as many archives as the settings say: of this stack alone, and only where it puts them by itself."""
    mine = sorted(folder.glob(f"vivesphere-{places.stack[:8]}-*{SUFFIX}"))
    if folder == (places.settings.backup.folder or places.home / "backups"):
        for old in mine[: -places.settings.backup.files_kept]:
            old.unlink(missing_ok=True)


def _memory(places: Places) -> Path:
    return places.home / "backups.json"


def _remember(places: Places, **what: Any) -> None:
    try:
        found = json.loads(_memory(places).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    layout.write_private(_memory(places), json.dumps({**found, **what}, indent=2) + "\n")
