"""`vivesphere db`: backups of database and vault, a stack made of one, and the word that lets it post."""

import asyncio
import os
import pwd
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import psycopg
import typer
from sqlalchemy.exc import SQLAlchemyError

from blocks.postgres.engine import Login
from blocks.vault.errors import VaultError
from config import loading
from config.places import Places
from deployments.cli import output
from deployments.cli.failures import PERSON_NEEDED, CommandError
from deployments.cli.output import Json
from deployments.cli.stack import explained
from deployments.local import archive, backup, databases, processes, restore
from deployments.local.archive import ArchiveError
from deployments.local.backup import BackupError
from deployments.local.databases import DatabaseRefusedError
from deployments.local.openbao import OpenBaoFailedError
from deployments.local.postgres import PostgresFailedError
from tasks.connections import Connections, open_connections
from tasks.domain.roles import Actor, system
from tasks.operations import restores
from tasks.operations.restores import NothingToTakeOverError, RefreshesBusyError, Situation, StillOpenError
from tasks.store.restores import EpochRow

T = TypeVar("T")

Archive = Annotated[Path, typer.Argument(help="The archive that `db backup` wrote.")]
Keys = Annotated[Path, typer.Option("--keys", help="The file that `db keys` wrote for the stack it comes from.")]
TOKENS = (("handle", "bot"), ("state", "token"), ("said", "why"))
# What a person can put right, in words of its own.
REFUSALS = (
    ArchiveError,
    BackupError,
    DatabaseRefusedError,
    NothingToTakeOverError,
    OpenBaoFailedError,
    PostgresFailedError,
    RefreshesBusyError,
    StillOpenError,
    VaultError,
)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Backups of database and vault, and what follows a restore.")
    app.command("backup")(make_backup)
    app.command()(keys)
    app.command()(check)
    app.command("restore")(make_stack)
    app.command("take-over")(take_over)
    program.add_typer(app, name="db")


def make_backup(
    to: Annotated[Path | None, typer.Option(help="Folder for the archive; left out: backup.folder.")] = None,
    hand_over: Annotated[
        bool,
        typer.Option("--hand-over", help="Stop this stack for good first, so that another goes on where it ended."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy database and vault of the running stack into one archive; posts go out meanwhile."""
    made = _done(backup.make(_places(), to, _actor(), hand_over=hand_over))
    if as_json:
        output.as_json(made.__dict__)
        return
    output.say(f"{made.file}: {made.bytes / 1_000_000:.1f} MB in {made.seconds:g} s")
    if hand_over:
        output.say("this stack posts and refreshes no more; `vivesphere db take-over` here takes that back")
    if backup.known(_places()).keys_taken_at is None:
        output.say("nobody can open it without the keys: `vivesphere db keys FILE`, and keep FILE elsewhere", True)


def keys(to: Annotated[Path, typer.Argument(help="A new file, 0600; to be kept apart from the archives.")]) -> None:
    """Write the keys that open this stack's archives into a file; once is enough, they stay the same."""
    with _explained():
        name = backup.take_keys(_places(), to)
    output.say(f"{to}: key {name}; whoever has it and an archive has everything, so keep them apart")


def check(file: Archive, given: Keys, as_json: Json = False) -> None:
    """Look whether an archive is whole, unchanged, and opened by these keys; nothing is restored."""
    with _explained():
        manifest = archive.open_checked(file, backup.read_keys(given)["unseal_key"])
    if as_json:
        output.as_json(manifest.__dict__)
        return
    size = sum(part["bytes"] for part in manifest.parts.values()) / 1_000_000
    output.say(
        f"{file}: whole; {manifest.backup_at:%Y-%m-%d %H:%M:%S} UTC, {size:.1f} MB, release {manifest.release}, "
        f"from {manifest.home} on {manifest.host}"
    )


def make_stack(file: Archive, given: Keys) -> None:
    """Make a stack of an archive, in the empty folder that VIVESPHERE_HOME names; it comes up stopped."""
    with _explained():
        manifest = restore.restore(file, given, _actor(), lambda line: output.say(line, problem=True))
    output.say(f"restored into {_places().home}; next: `vivesphere up`, then `vivesphere db take-over`")
    if not manifest.handed_over:
        output.say("until you take over it posts nothing and refreshes no token: the old stack may still live")


def take_over(
    try_tokens: Annotated[
        bool,
        typer.Option(
            "--try-refresh-tokens",
            help="Try each refresh token once when its access token ends, instead of asking for a login.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the other stack is stopped for good.")] = False,
    as_json: Json = False,
) -> None:
    """Say that the other stack is stopped for good: from then on this one posts and refreshes tokens."""
    places, actor = _places(), _actor()
    found = _done(_with_stack(places, restores.look))
    _refuse_while_it_lives(places, found.epoch)
    if not as_json:
        _show(found)
    if not yes and not typer.confirm("Is the other stack stopped, and will it stay so?", err=True):
        raise typer.Abort

    async def taken(at: Connections) -> EpochRow:
        return await restores.take_over(at, actor, may_replay=try_tokens)

    epoch = _done(_with_stack(places, taken))
    if as_json:
        output.as_json({"epoch": epoch.epoch, "tokens": [token.__dict__ for token in found.tokens]})
        return
    output.say(
        "taken over: what may have gone out already is looked up on X first, the rest goes out as it was planned"
    )
    if not (try_tokens or epoch.tokens_unused):
        output.say("accounts sign in again when their tokens end: `vivesphere bots reconnect --all` makes the links")


def _show(found: Situation) -> None:
    epoch = found.epoch
    what = "restored from a backup of" if epoch.kind == "restored" else "handed over at"
    output.say(f"epoch {epoch.epoch}: {what} {epoch.backup_at:%Y-%m-%d %H:%M:%S} UTC")
    output.say(f"the other stack: {epoch.origin_home} on {epoch.origin_host}")
    posted = found.other_posted_at
    output.say(f"it last posted, as far as X shows: {posted:%Y-%m-%d %H:%M:%S} UTC" if posted else "it posted nothing")
    output.say(f"posts that it may have sent, not decided yet: {found.in_doubt}")
    rows = [token.__dict__ for token in found.tokens if token.state != "serves"]
    output.say(f"access tokens that serve: {len(found.tokens) - len(rows)} of {len(found.tokens)}")
    if rows:
        output.table(rows, TOKENS, "")


def _refuse_while_it_lives(places: Places, epoch: EpochRow) -> None:
    """On this machine it can be seen; of another one only a person knows."""
    home = Path(epoch.origin_home)
    if epoch.origin_host != socket.gethostname() or home == places.home.resolve():
        return
    if alive := processes.of_stack(home):
        raise CommandError(
            f"the stack in {home} still runs here ({len(alive)} processes): "
            f"`VIVESPHERE_HOME={home} vivesphere down` first",
            PERSON_NEEDED,
        )


async def _with_stack(places: Places, work: Callable[[Connections], Awaitable[T]]) -> T:
    login = Login(databases.admin_user(places), databases.admin_password(places))
    async with open_connections("keys", places, own_login=login) as at:
        return await work(at)


def _done(work: Coroutine[Any, Any, T]) -> T:
    with _explained():
        return asyncio.run(work)


@contextmanager
def _explained() -> Iterator[None]:
    """What a person can put right is said in one line."""
    with explained():
        try:
            yield
        except REFUSALS as error:
            raise CommandError(str(error)) from error
        except (SQLAlchemyError, psycopg.Error) as error:
            raise CommandError(f"the database does not answer ({type(error).__name__}): `vivesphere status`") from error


def _places() -> Places:
    return Places(loading.settings())


def _actor() -> Actor:
    return system(f"{pwd.getpwuid(os.getuid()).pw_name} on the host")
