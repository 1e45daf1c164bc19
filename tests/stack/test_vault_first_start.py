"""The first start of the vault, cut off at every stage: the next one finds either nothing or a whole vault."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from blocks.vault.kv import Kv
from config.places import Places
from deployments.local import openbao, vault_provisioning
from deployments.local.openbao import OpenBaoFailedError
from tests.openbao_process import OpenBaoProcess, running_openbao, vault_places

PREPARE = """
import sys
from pathlib import Path
from tests.openbao_process import vault_places
from deployments.local import openbao
openbao.prepare(vault_places(Path(sys.argv[1]), port=int(sys.argv[2]), cluster_port=int(sys.argv[3])))
"""
WAIT_SECONDS = 30


def log_says(words: str) -> Callable[[Path], bool]:
    def said(home: Path) -> bool:
        log = home / "logs" / "openbao-first-start.log"
        return log.exists() and words in log.read_text(encoding="utf-8", errors="replace")

    return said


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "unseal key written": lambda home: (home / "secrets" / "vault-unseal.key").exists(),
    "storage made": lambda home: (home / "vault" / "data.new" / "vault.db").exists(),
    "mounts half made": log_says("successful mount"),
    "serving, not renamed": log_says("server started"),
    "renamed, no configuration": lambda home: (home / "vault" / "data").exists(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_first_start_killed_at_any_point_does_not_block_the_next(tmp_path: Path, moment: str) -> None:
    places = vault_places(tmp_path)
    vault = places.settings.vault
    first = subprocess.Popen([sys.executable, "-c", PREPARE, str(tmp_path), str(vault.port), str(vault.cluster_port)])
    deadline = time.monotonic() + WAIT_SECONDS
    while not MOMENTS[moment](tmp_path):
        assert first.poll() is None and time.monotonic() < deadline
    # The server that was being set up is left running: it still holds the port and the half-made storage.
    first.kill()
    first.wait()
    assert_it_starts(places)


def test_a_server_killed_with_its_owner_during_the_first_start_does_not_block_the_next(tmp_path: Path) -> None:
    places = vault_places(tmp_path)
    vault = places.settings.vault
    first = subprocess.Popen([sys.executable, "-c", PREPARE, str(tmp_path), str(vault.port), str(vault.cluster_port)])
    deadline = time.monotonic() + WAIT_SECONDS
    while not MOMENTS["mounts half made"](tmp_path):
        assert first.poll() is None and time.monotonic() < deadline
    family = [first, *psutil.Process(first.pid).children()]
    for process in family:
        process.kill()
    first.wait()
    assert len(family) == 2
    assert_it_starts(places)


def test_a_server_left_behind_is_ended_and_what_it_stored_is_there(tmp_path: Path) -> None:
    with running_openbao(tmp_path) as bao:
        bao.kv("keys").write("bots/b1/access", {"token": "kept"}, cas=0)
        left, bao.process = bao.process, None
        bao.start()
        assert left is not None and left.poll() is not None
        assert bao.kv("keys").read("bots/b1/access").data == {"token": "kept"}


def test_data_without_its_key_is_left_alone_and_the_way_out_is_named(tmp_path: Path) -> None:
    places = vault_places(tmp_path)
    (tmp_path / "vault" / "data").mkdir(parents=True)
    (tmp_path / "secrets").mkdir()
    with pytest.raises(OpenBaoFailedError, match="put the key back"):
        openbao.prepare(places)
    assert not openbao.unseal_key(places).exists()


def test_the_server_does_not_set_itself_up_again_when_its_data_is_gone(tmp_path: Path) -> None:
    with running_openbao(tmp_path, provisioned=False) as bao:
        assert "initialize" not in openbao.config_file(bao.places).read_text(encoding="utf-8")
        assert not (tmp_path / "vault" / "config.first.json").exists()


def assert_it_starts(places: Places) -> None:
    bao = OpenBaoProcess(places)
    try:
        bao.start()
        vault_provisioning.provision(places)
        with bao.new_client("keys") as vault:
            assert Kv(vault, places.settings.vault.kv_mount, readers=1).write("bots/1/access", {"token": "a"}, 0) == 1
        assert not (places.home / "vault" / "data.new").exists()
    finally:
        bao.kill()
