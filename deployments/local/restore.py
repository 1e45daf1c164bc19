"""Makes a stack of a backup, in an empty home: it comes up stopped, and waits for a person to take over.

Everything is built in a folder beside and renamed at the end. Whatever breaks on the way, there is never a home that
could be started and does not know that it was restored.
"""

import asyncio
import shutil
import subprocess  # nosec B404
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from blocks.postgres.engine import Login
from blocks.vault.errors import Missing
from blocks.vault.kv import Kv
from config import loading
from config.places import Places
from deployments.local import (
    archive,
    backup,
    databases,
    layout,
    log_files,
    openbao,
    postgres,
    stack,
    vault_provisioning,
)
from deployments.local.archive import DATABASE, VAULT, ArchiveError, Manifest
from deployments.local.backup import BackupError
from deployments.local.child import Child
from tasks.connections import open_connections
from tasks.domain.roles import Actor
from tasks.operations import restores, signing_keys
from tasks.operations.restores import Origin
from tasks.store import migrate as schema

POLL_SECONDS = 0.05

Progress = Callable[[str], None]


def restore(file: Path, keys: Path, actor: Actor, progress: Progress = lambda line: None) -> Manifest:
    """Build the home that the settings name from an archive; raises ArchiveError and BackupError, each one line."""
    wanted = Places(loading.settings())
    backup.are_ours(wanted)
    given = backup.read_keys(keys)
    manifest = archive.open_checked(file, given["unseal_key"])
    _fits(file, manifest)
    home = wanted.home
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise BackupError(f"{home} is not empty: name an empty folder in VIVESPHERE_HOME, or move this one away")
    building = home.with_name(f"{home.name}.restoring")
    with layout.locked(building, 0.0):
        _empty(building)
        progress(f"the archive is whole: {manifest.backup_at:%Y-%m-%d %H:%M:%S} UTC, release {manifest.release}")
        _build(building, file, manifest, given, actor, progress)
        building.rename(home)
    return manifest


def _build(
    home: Path, file: Path, manifest: Manifest, keys: Mapping[str, str], actor: Actor, progress: Progress
) -> None:
    layout.prepare(home)
    places = Places(loading.of_home(home))
    layout.write_private(openbao.unseal_key(places), keys["unseal_key"])
    ids = vault_provisioning.supervisor_ids(places)
    layout.write_private(ids.role_id, keys["role_id"])
    layout.write_private(ids.secret_id, keys["secret_id"])
    vault, database = home / VAULT, home / DATABASE
    archive.extract(file, VAULT, vault)
    archive.extract(file, DATABASE, database)
    postgres.prepare(postgres.data_folder(places), postgres.admin_password_file(places))
    postgres.number_after(postgres.data_folder(places), manifest.transaction_id)
    with openbao.restored(places, vault.read_bytes()), _running(places, postgres.child(places)):
        progress("the vault is restored")
        vault_provisioning.provision(places)
        password = databases.passwords(places)
        databases.provision(places, password)
        postgres.load(places, places.settings.postgres.database, database)
        databases.migrate(places, password)
        progress("the database is restored")
        _forget_signing_keys(places)
        epoch = asyncio.run(_begin(places, manifest, actor))
        progress(f"epoch {epoch}: the fleet is stopped, no token is refreshed")
    for left in (vault, database):
        left.unlink()
    stack.clear(home, places.settings.stack.stop_seconds)


async def _begin(places: Places, manifest: Manifest, actor: Actor) -> int:
    login = Login(databases.admin_user(places), databases.admin_password(places))
    origin = Origin(manifest.backup_at, manifest.host, manifest.home, manifest.handed_over)
    async with open_connections("keys", places, own_login=login) as at:
        return await restores.begin(at, origin, actor)


def _fits(file: Path, manifest: Manifest) -> None:
    """Whether this release can read what is in it."""
    if manifest.revision not in schema.revisions():
        raise ArchiveError(
            f"{file}: it was made by release {manifest.release}, whose database (schema {manifest.revision}) this "
            "release does not know: install that release or a newer one"
        )


def _forget_signing_keys(places: Places) -> None:
    """Access tokens of the other stack are void here: the gateway makes a key of its own at its start."""
    settings = places.settings.vault
    with vault_provisioning.signed_in(places, "gateway") as vault:
        try:
            Kv(vault, settings.kv_mount, settings.readers).delete(signing_keys.KEYS_PATH)
        except Missing:
            return


def _empty(building: Path) -> None:
    """A restore that broke off left a folder and perhaps servers; nothing in it is of any use."""
    stack.clear(building, stack.LOCK_SECONDS)
    for left in building.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


@contextmanager
def _running(places: Places, child: Child) -> Iterator[None]:
    """A part of the stack for as long as the block runs, without a supervisor."""
    if child.prepare is not None:
        child.prepare()
    log = places.logs / f"{child.name}.log"
    with open(log_files.opened(log), "ab") as output:
        process = subprocess.Popen(  # noqa: S603  # nosec B603
            child.command, env=dict(child.environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        give_up_at = time.monotonic() + places.settings.stack.ready_seconds
        while (why := child.ready()) is not None:
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise BackupError(f"{child.name} does not serve: {why}; see {log}")
            time.sleep(POLL_SECONDS)
        yield
    finally:
        process.send_signal(child.stop_signal)
        try:
            process.wait(places.settings.stack.stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
