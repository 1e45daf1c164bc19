"""The first admin and the key of the command line: made at the start of the gateway, kept in 0600 files."""

import secrets
from pathlib import Path
from uuid import UUID

from config.places import Places
from deployments.local.layout import write_private
from tasks.connections import Connections
from tasks.domain.roles import system
from tasks.operations import access

ADMIN = "admin"
KEY_NAME = "cli"


def password_file(places: Places) -> Path:
    """0600 file with the first admin's password."""
    return places.secrets / "admin.password"


def key_file(places: Places) -> Path:
    """0600 file with the API key that `vivesphere` uses."""
    return places.secrets / "cli.key"


async def ensure(at: Connections) -> None:
    """Make what is missing, and replace a file that opens nothing: deleting one and starting again is the way back
    for who lost it."""
    at.places.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    user_id = await _admin(at)
    key = _content(key_file(at.places))
    found = await access.by_key(at, key) if key else None
    if found is None or found.user_id != user_id:
        write_private(key_file(at.places), await access.new_key(at, user_id, KEY_NAME, system("gateway")))


async def _admin(at: Connections) -> UUID:
    path = password_file(at.places)
    password = _content(path)
    found = await access.by_password(at, ADMIN, password) if password else None
    if found is not None and found.user_id is not None:
        return found.user_id
    password = secrets.token_urlsafe(24)
    # The file first: if we die in between, the next start finds a password that does not fit and makes another.
    write_private(path, password)
    return await access.ensure_admin(at, ADMIN, password)


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
