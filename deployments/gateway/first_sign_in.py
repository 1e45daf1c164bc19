"""The first admin and the key of the command line: made at the start of the gateway, kept in 0600 files.

The admin has no password until a person chooses one on the page of a link that works once.
"""

from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from config.places import Places
from deployments.local.layout import write_private
from tasks.connections import Connections
from tasks.domain.roles import system
from tasks.operations import access, api_keys, users
from tasks.operations.users import Link, LinkUsedError, NoSuchUserError
from tasks.store.access import UserRow

ADMIN = "admin"
KEY_NAME = "cli"
PAGE = "/set-password"


def link_file(places: Places) -> Path:
    """0600 file with the address at which the first admin chooses a password; gone once that is done."""
    return places.secrets / "first-sign-in.link"


def address(places: Places, link: Link) -> str:
    """The page of a link."""
    return f"{places.front_door}{PAGE}?link={quote(link.secret)}"


async def ensure(at: Connections) -> None:
    """Make what is missing, and replace what opens nothing any more. An admin who was disabled or has left stays so:
    whoever is admin in his place uses a key of his own."""
    at.places.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = await _admin(at)
    if user.disabled_at is not None:
        return
    await _ensure_key(at, user.id)
    if user.password_hash is not None:
        link_file(at.places).unlink(missing_ok=True)
    elif not await _link_stands(at):
        link = await users.new_link(at, ADMIN, system("gateway"))
        write_private(link_file(at.places), address(at.places, link))


def used(places: Places, username: str) -> None:
    """A user has a password now: the first admin's link has done its work."""
    if username == ADMIN:
        link_file(places).unlink(missing_ok=True)


async def _admin(at: Connections) -> UserRow:
    try:
        return await users.get(at, ADMIN)
    except NoSuchUserError:
        return await users.add_admin(at, ADMIN, system("gateway"))


async def _ensure_key(at: Connections, user_id: UUID) -> None:
    path = at.places.secrets / "cli.key"
    key = _content(path)
    found = await access.by_key(at, key) if key else None
    if found is None or found.actor.user_id != user_id:
        write_private(path, (await api_keys.create(at, user_id, KEY_NAME, system("gateway"))).secret)


async def _link_stands(at: Connections) -> bool:
    secret = (_content(link_file(at.places)) or "").partition("link=")[2]
    try:
        await users.holder_of_link(at, secret)
    except LinkUsedError:
        return False
    return True


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
