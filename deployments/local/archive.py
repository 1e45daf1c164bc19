"""The file that a backup is: a plain tar with a manifest, the vault as it lies on the disk, and a dump of the database.

The vault's part is encrypted with a key that is never in the archive. The manifest names each part with its hash and is
itself sealed with that key, so that an archive which was cut, damaged or changed is told from a good one.
"""

import hashlib
import hmac
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

FORMAT = 1
MANIFEST, SEAL = "manifest.json", "manifest.hmac"
VAULT, DATABASE = "vault.snapshot", "database.dump"
SUFFIX = ".vivesphere.tar"
MANIFEST_MOST_BYTES = 1 << 20
PIECE_BYTES = 1 << 20


class ArchiveError(ValueError):
    """The file cannot be used as a backup; the text is one line: which file, what is wrong, what to do."""


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself. `made_at` is by this machine's clock, `backup_at` by app_now()."""

    format: int
    made_at: datetime
    backup_at: datetime
    release: str
    revision: str
    postgres: int
    transaction_id: int
    host: str
    home: str
    key_id: str
    handed_over: bool
    parts: Mapping[str, Mapping[str, Any]]


def key_id(key: str) -> str:
    """A name for an unseal key, from which nobody can tell the key."""
    return hashlib.sha256(b"vivesphere key\n" + key.encode()).hexdigest()[:16]


def describe(part: Path) -> Mapping[str, Any]:
    """Size and hash of a part."""
    with part.open("rb") as file:
        return {"bytes": part.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def write(to: Path, manifest: Manifest, parts: Mapping[str, Path], key: str) -> None:
    """Put an archive together, 0600; its name stands only once all of it is on the disk."""
    said = json.dumps(asdict(manifest), default=datetime.isoformat, indent=2).encode()
    building = to.with_name(f".{to.name}.new")
    building.unlink(missing_ok=True)
    with os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            _add(tar, MANIFEST, said)
            _add(tar, SEAL, _seal(said, key).encode())
            for name, path in parts.items():
                tar.add(path, name, filter=_plain)
        file.flush()
        os.fsync(file.fileno())
    building.rename(to)


def open_checked(path: Path, key: str) -> Manifest:
    """What an archive says of itself, once all of it was found whole and unchanged; raises ArchiveError."""
    try:
        with tarfile.open(path, "r:") as tar:
            said, seal = (_read(tar, path, name) for name in (MANIFEST, SEAL))
            manifest = _manifest(path, said)
            if manifest.key_id != key_id(key):
                raise ArchiveError(
                    f"{path}: the keys are those of another stack ({key_id(key)}), and this backup needs "
                    f"{manifest.key_id}: name the file that `vivesphere db keys` wrote for the stack it comes from"
                )
            if not hmac.compare_digest(_seal(said, key), seal.decode(errors="replace")):
                raise ArchiveError(f"{path}: it was changed after it was made: use another copy")
            for name, part in manifest.parts.items():
                _check(tar, path, name, part)
    except FileNotFoundError:
        raise ArchiveError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ArchiveError(f"{path}: it cannot be read: {error.strerror or error}") from None
    except (tarfile.TarError, EOFError):
        raise ArchiveError(f"{path}: this is no backup of ours, or it was cut off: use another copy") from None
    return manifest


def extract(path: Path, name: str, to: Path) -> None:
    """Copy a part of a checked archive into a file."""
    with tarfile.open(path, "r:") as tar, to.open("wb") as file:
        shutil.copyfileobj(_member(tar, path, name), file, PIECE_BYTES)


def _manifest(path: Path, said: bytes) -> Manifest:
    try:
        found: dict[str, Any] = json.loads(said)
        if found["format"] != FORMAT:
            raise ArchiveError(
                f"{path}: it has format {found['format']} and was made by release {found.get('release', 'unknown')}; "
                f"this release reads format {FORMAT}: install that release"
            )
        instants = {name: datetime.fromisoformat(found[name]) for name in ("made_at", "backup_at")}
        return Manifest(**{**found, **instants})
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"{path}: its manifest cannot be read: this is no backup of ours") from None


def _check(tar: tarfile.TarFile, path: Path, name: str, wanted: Mapping[str, Any]) -> None:
    content = _member(tar, path, name)
    digest = hashlib.sha256()
    size = 0
    while piece := content.read(PIECE_BYTES):
        digest.update(piece)
        size += len(piece)
    if (size, digest.hexdigest()) != (wanted["bytes"], wanted["sha256"]):
        raise ArchiveError(f"{path}: {name} in it is damaged or was cut off: use another copy")


def _member(tar: tarfile.TarFile, path: Path, name: str) -> Any:
    try:
        content = tar.extractfile(name)
    except KeyError:
        content = None
    if content is None:
        raise ArchiveError(f"{path}: {name} is missing in it: this is no backup of ours, or it was cut off")
    return content


def _read(tar: tarfile.TarFile, path: Path, name: str) -> bytes:
    found: bytes = _member(tar, path, name).read(MANIFEST_MOST_BYTES)
    return found


def _seal(said: bytes, key: str) -> str:
    return hmac.digest(hashlib.sha256(b"vivesphere backup\n" + key.encode()).digest(), said, "sha256").hex()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    tar.addfile(entry, io.BytesIO(content))


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry
