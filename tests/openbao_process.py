"""A real OpenBao in a folder of its own, for tests: started and provisioned in four seconds, gone with the process.

`shared_openbao()` is one for the whole test process; who breaks it starts one of their own with `running_openbao()`.
With `--vault-address` the shared one is a server that somebody else runs, of any make that speaks the same API.
"""

import atexit
import functools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from blocks.vault.client import AppRole, TokenFile, Vault
from blocks.vault.errors import VaultError
from blocks.vault.kv import Kv
from blocks.vault.transit import Transit
from config.places import Places
from config.settings import LOOPBACK, Logs, Settings, Stack
from config.settings import Vault as VaultSettings
from deployments.local import openbao, vault_provisioning
from tests.memory_folder import memory_folder
from tests.postgres_process import free_port

READY_SECONDS = 30
SECRET_ID_SECONDS = 3600  # nobody renews them here
STOP_SECONDS = 20
# Where the engines of one run of the tests lie, on a server that keeps others.
ENGINES = ("kv", "transit", "database", "approle")

# What the options of pytest say of a server to be used instead: settings of the section `vault`.
elsewhere: dict[str, Any] = {}


def vault_places(home: Path, logs: Mapping[str, Any] | None = None, **vault: Any) -> Places:
    """Settings of a vault under `home` on free ports; `vault` and `logs` override single ones."""
    wanted = {"port": free_port(), "cluster_port": free_port(), **vault}
    stack = Stack(secret_id_seconds=SECRET_ID_SECONDS)
    return Places(Settings(home=home, vault=VaultSettings(**wanted), logs=Logs(**(logs or {})), stack=stack))


@dataclass
class OpenBaoProcess:
    """The server; `start` after `kill` or `stop` brings the same vault back on the same port."""

    places: Places
    process: "subprocess.Popen[bytes] | None" = None
    clients: dict[str, Vault] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Number of the server's process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Prepare, start and wait until it serves."""
        child = openbao.child(self.places)
        assert child.prepare is not None
        child.prepare()
        # A test process that is killed takes its server along.
        command = ["setpriv", "--pdeathsig", "KILL", *child.command]
        log = self.places.logs / "openbao.log"
        with log.open("ab") as said:
            self.process = subprocess.Popen(
                command, env=dict(child.environment), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        deadline = time.monotonic() + READY_SECONDS
        while (why := child.ready()) is not None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"OpenBao did not start: {why}\n{log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.02)

    def client(self, role: str) -> Vault:
        """The vault as `role` (or `supervisor`, `provision`) sees it; one client a role.

        What provisions has five minutes to do it, which a session of tests takes longer than: a new one each time.
        """
        if role in (vault_provisioning.PROVISION, vault_provisioning.BACKUP):
            return self.new_client(role)
        if role not in self.clients:
            self.clients[role] = self.new_client(role)
        return self.clients[role]

    def new_client(self, role: str) -> Vault:
        """A client of its own, not signed in yet."""
        if role == vault_provisioning.SUPERVISOR:
            return Vault(self.places, vault_provisioning.supervisor_ids(self.places))
        if role in vault_provisioning.ROLES:
            return Vault.for_role(self.places, role)
        supervisor, mount = self.client(vault_provisioning.SUPERVISOR), self.places.settings.vault.approle_mount
        role_id = supervisor.get(f"auth/{mount}/role/{role}/role-id")["data"]["role_id"]
        secret_id = supervisor.put(f"auth/{mount}/role/{role}/secret-id", {})["data"]["secret_id"]
        return Vault(self.places, AppRole(mount, role_id, secret_id))

    def kv(self, role: str) -> Kv:
        """The KV engine as `role` sees it."""
        settings = self.places.settings.vault
        return Kv(self.client(role), settings.kv_mount, settings.readers)

    def transit(self, role: str) -> Transit:
        """The transit engine as `role` sees it."""
        return Transit.of(self.client(role), self.places.settings.vault)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """A clean end."""
        self._end(signal.SIGTERM)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP for as long as the block runs: connections open, requests are taken, nothing is answered."""
        if self.process is None and self.places.settings.vault.address:
            pytest.skip("a server of somebody else's is not frozen")
        os.kill(self.pid, signal.SIGSTOP)
        try:
            while any(_state(thread) != "T" for thread in Path(f"/proc/{self.pid}/task").iterdir()):
                time.sleep(0.001)  # a thread that runs at this moment may still answer
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(STOP_SECONDS)
        self.process = None


def _state(thread: Path) -> str:
    """The letter after the name, which stands in parentheses and may hold anything."""
    return (thread / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


@contextmanager
def running_openbao(
    home: Path | None = None, *, provisioned: bool = True, logs: Mapping[str, Any] | None = None, **vault: Any
) -> Iterator[OpenBaoProcess]:
    """A vault of its own for as long as the block runs; call it from the main thread, to which its life is tied.

    Without `home` it works in memory where it can: its writes wait for the disk otherwise.
    """
    with memory_folder("openbao-") as temporary:
        server = OpenBaoProcess(vault_places(home or temporary, logs, **vault))
        try:
            server.start()
            if provisioned:
                vault_provisioning.provision(server.places)
            yield server
        finally:
            server.stop()
            for client in server.clients.values():
                client.close()


@functools.cache
def shared_openbao() -> OpenBaoProcess:
    """The one vault of this test process, provisioned; leave it running and use paths of your own."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(openbao_elsewhere() if elsewhere else running_openbao())


@contextmanager
def own_openbao() -> Iterator[OpenBaoProcess]:
    """A provisioned vault of its own, for tests that write all over it and break nothing."""
    if not elsewhere:
        with running_openbao() as found:
            yield found
        return
    # There are no two sets of our policies on one server: whoever shares one begins anew after this.
    with openbao_elsewhere() as found:
        yield found
    shared_openbao.cache_clear()


@contextmanager
def openbao_elsewhere() -> Iterator[OpenBaoProcess]:
    """Engines of our own on the server that the options name; they are taken away at the end."""
    with tempfile.TemporaryDirectory(prefix="vault-") as home:
        for folder in ("secrets", "run"):
            (Path(home) / folder).mkdir()
        mine = uuid4().hex[:8]
        server = OpenBaoProcess(
            vault_places(Path(home), **elsewhere, **{f"{name}_mount": f"{name}-{mine}" for name in ENGINES})
        )
        try:
            vault_provisioning.provision(server.places)
            yield server
        finally:
            for client in server.clients.values():
                client.close()
            with Vault(server.places, TokenFile(elsewhere["admin_token_file"])) as admin:
                for step in vault_provisioning.foundation(server.places):
                    if step.path.startswith(("sys/mounts/", "sys/auth/")):
                        path = f"/v1/{step.path}"
                        admin.call(f"take {step.path} away", lambda path=path: admin.adapter.delete(path), writes=False)


@contextmanager
def dev_server(folder: Path) -> Iterator[tuple[str, Path]]:
    """A vault that somebody else runs: its address and a file with a token that may do everything."""
    port, token, token_file = free_port(), "a-token-of-somebody-else", folder / "admin.token"
    token_file.touch(mode=0o600)
    token_file.write_text(token, encoding="utf-8")
    options = ["-dev", f"-dev-root-token-id={token}", f"-dev-listen-address={LOOPBACK}:{port}", "-dev-no-store-token"]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", openbao.binary(), "server", *options],
        env={"PATH": os.defpath, "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    places = vault_places(folder, address=f"http://{LOOPBACK}:{port}")
    try:
        with Vault(places, TokenFile(token_file)) as vault:
            _wait_until_it_serves(vault)
        yield places.vault, token_file
    finally:
        process.kill()
        process.wait(STOP_SECONDS)


def _wait_until_it_serves(vault: Vault) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            vault.get("auth/token/lookup-self")
            return
        except VaultError:
            if time.monotonic() > deadline:
                raise
