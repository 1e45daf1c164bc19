"""A vault that is slow, gone, sealed, killed, or whose answers get lost."""

import functools
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from blocks.vault.client import TokenFile, Vault
from blocks.vault.errors import Conflict, Missing, NoAnswer, Unavailable, Unreachable, Untrusted, VaultError
from blocks.vault.kv import Kv, Secret
from config.places import Places
from deployments.local import openbao, vault_certificate
from tests.openbao_process import OpenBaoProcess, dev_server, running_openbao, vault_places

TIMEOUT_SECONDS = 1.0


@pytest.fixture(scope="module")
def bao() -> Iterator[OpenBaoProcess]:
    with running_openbao(timeout_seconds=TIMEOUT_SECONDS) as bao:
        yield bao


@pytest.fixture
def path() -> str:
    return f"bots/{uuid4()}/access"


def test_a_frozen_vault_leaves_a_write_unknown_and_a_read_repeatable(bao: OpenBaoProcess, path: str) -> None:
    kv = bao.kv("keys")
    kv.write(path, {"token": "one"}, cas=0)
    with bao.frozen():
        with pytest.raises(NoAnswer) as write:
            kv.write(path, {"token": "two"}, cas=1)
        with pytest.raises(NoAnswer) as read:
            kv.read(path)
    assert (write.value.retryable, write.value.outcome_known) == (False, False)
    assert (read.value.retryable, read.value.outcome_known) == (True, True)
    # What waited in the socket is carried out once the vault wakes, or dropped with its connection.
    assert kv.metadata(path).version in (1, 2)


def test_a_short_freeze_is_waited_out_by_a_read(bao: OpenBaoProcess, path: str) -> None:
    kv = bao.kv("keys")
    kv.write(path, {"token": "one"}, cas=0)
    with bao.frozen():
        wakes = threading.Timer(TIMEOUT_SECONDS * 1.2, os.kill, (bao.pid, signal.SIGCONT))
        wakes.start()
        assert kv.read(path).data == {"token": "one"}
        wakes.join()


def test_many_reads_of_a_frozen_vault_do_not_wait_one_by_one(bao: OpenBaoProcess) -> None:
    with bao.frozen():
        started = time.monotonic()
        found = bao.kv("keys").read_many([f"bots/{number}/access" for number in range(500)])
        assert time.monotonic() - started < 5 * TIMEOUT_SECONDS
    assert {type(one) for one in found.values()} == {NoAnswer}


def test_a_stopped_vault_refuses_and_a_read_finds_it_again(bao: OpenBaoProcess, path: str) -> None:
    kv = bao.kv("keys")
    kv.write(path, {"token": "one"}, cas=0)
    bao.kill()
    with pytest.raises(Unreachable) as gone:
        kv.write(path, {"token": "two"}, cas=1)
    assert (gone.value.retryable, gone.value.outcome_known) == (True, True)
    assert "no connection" in str(openbao.ready(bao.places)())
    bao.start()
    assert kv.read(path).version == 1


def test_kill_9_under_writers_loses_nothing_that_was_acknowledged(bao: OpenBaoProcess) -> None:
    kv = bao.kv("keys")
    acknowledged: list[str] = []
    unknown: list[str] = []
    over = threading.Event()

    def write(name: int) -> None:
        for number in range(100_000):
            if over.is_set():
                return
            path = f"bots/{name}-{number}/refresh"
            try:
                kv.write(path, {"token": path}, cas=0)
                acknowledged.append(path)
            except VaultError as error:
                assert isinstance(error, NoAnswer | Unreachable | Unavailable)
                if not error.outcome_known:
                    unknown.append(path)

    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for writer in writers:
        writer.start()
    for killed in range(1, 4):
        wait_until(lambda: len(acknowledged) > killed * 100)  # noqa: B023
        bao.kill()
        bao.start()
    over.set()
    for writer in writers:
        writer.join()
    found = kv.read_many(acknowledged)
    assert [path for path, secret in found.items() if not isinstance(secret, Secret)] == []
    landed = [secret for secret in kv.read_many(unknown).values() if isinstance(secret, Secret)]
    assert {secret.version for secret in landed} <= {1}


def test_a_lost_answer_is_settled_by_reading_back(bao: OpenBaoProcess, path: str) -> None:
    with lossy(bao) as (kv, lose_next):
        assert kv.write_once(path, {"token": "one"}, cas=0, attempt_id="first") == 1
        lose_next.set()
        assert kv.write_once(path, {"token": "two"}, cas=1, attempt_id="second") == 2
        assert not lose_next.is_set()
    assert bao.kv("keys").metadata(path).version == 2


def test_a_lost_answer_is_not_taken_for_success_where_another_wrote(bao: OpenBaoProcess, path: str) -> None:
    with lossy(bao) as (kv, lose_next):
        with pytest.raises(Missing):
            kv.read(path)
        bao.kv("keys").write(path, {"token": "another's"}, cas=0)
        lose_next.set()
        with pytest.raises(Conflict):
            kv.write_once(path, {"token": "ours"}, cas=0, attempt_id="ours")
    assert bao.kv("keys").read(path).data == {"token": "another's"}


def test_who_may_not_read_back_learns_that_it_is_unknown(bao: OpenBaoProcess, path: str) -> None:
    with lossy(bao, "gateway") as (kv, lose_next):
        kv.write(path, {"token": "one"}, cas=0)
        lose_next.set()
        with pytest.raises(NoAnswer) as unknown:
            kv.write_once(path, {"token": "two"}, cas=1, attempt_id="second")
    assert not unknown.value.outcome_known


def test_a_vault_with_another_certificate_is_not_spoken_to(bao: OpenBaoProcess, tmp_path: Path) -> None:
    with pretender(tmp_path) as port, Vault(at_port(bao.places, port), TokenFile(tmp_path / "token")) as asked:
        asked.adapter.token = "s.would-be-stolen"
        with pytest.raises(Untrusted):
            asked.get("sys/health")


def test_a_missing_ca_file_is_a_matter_of_trust_too(bao: OpenBaoProcess, tmp_path: Path) -> None:
    places = Places(bao.places.settings.model_copy(update={"home": tmp_path}))
    with Vault(places, TokenFile(tmp_path / "token")) as asked:
        asked.adapter.token = "s.any"
        with pytest.raises(Untrusted):
            asked.get("sys/health")


def test_a_sealed_vault_is_unavailable_and_said_to_be(tmp_path: Path) -> None:
    with dev_server(tmp_path) as (address, token_file):
        with Vault(vault_places(tmp_path, address=address), TokenFile(token_file)) as admin:
            wait_until(lambda: admin.get("sys/mounts"))
            admin.put("sys/seal", {})
            with pytest.raises(Unavailable, match="sealed") as sealed:
                admin.get("secret/data/x")
    assert (sealed.value.retryable, sealed.value.outcome_known) == (True, True)


def at_port(places: Places, port: int | None) -> Places:
    vault = places.settings.vault.model_copy(update={"port": port})
    return Places(places.settings.model_copy(update={"vault": vault}))


@contextmanager
def pretender(home: Path) -> Iterator[int]:
    """A server on loopback whose certificate is as good as the vault's, but of another CA; yields its port."""
    places = vault_places(home)
    (home / "vault").mkdir()
    (home / "secrets").mkdir()
    vault_certificate.ensure(places)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(vault_certificate.server_certificate(places), vault_certificate.server_key(places))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                context.wrap_socket(listener.accept()[0], server_side=True)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def lossy(bao: OpenBaoProcess, role: str = "keys") -> Iterator[tuple[Kv, threading.Event]]:
    """The vault behind a wire that swallows the next answer once the event is set, and then cuts the connection."""
    lose_next = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_forward, args=(listener, bao, lose_next), daemon=True).start()
        with Vault.for_role(at_port(bao.places, listener.getsockname()[1]), role) as vault:
            yield Kv(vault, bao.places.settings.vault.kv_mount, readers=1), lose_next


def _forward(listener: socket.socket, bao: OpenBaoProcess, lose_next: threading.Event) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", bao.places.settings.vault.port or 0))
        up = functools.partial(_pump, client, server, lambda: False)
        down = functools.partial(_pump, server, client, functools.partial(_taken, lose_next))
        for pump in (up, down):
            threading.Thread(target=pump, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, swallow: Callable[[], bool]) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            if swallow():
                break
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _taken(event: threading.Event) -> bool:
    was = event.is_set()
    event.clear()
    return was


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except VaultError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)
