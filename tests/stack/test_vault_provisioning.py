"""Mounts, policies, roles and ids: brought to the wanted state at each `up`, in our vault and in somebody else's."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from blocks.vault.client import TokenFile, Vault
from blocks.vault.errors import Denied, SignedOut
from blocks.vault.kv import Kv
from config.places import Places
from deployments.local import openbao, vault_certificate, vault_provisioning
from deployments.local.vault_provisioning import ROLES, VaultNotOursError
from tests.openbao_process import OpenBaoProcess, dev_server, running_openbao, vault_places

PLANTED = "planted-s3cret-that-must-not-show"
LOG_BYTES = 10_000
SUITE = [str(Path(__file__).with_name(f"test_vault_{name}.py")) for name in ("kv", "transit", "roles")]


@pytest.fixture(scope="module")
def bao() -> Iterator[OpenBaoProcess]:
    with running_openbao(logs={"file_bytes": LOG_BYTES, "files_kept": 2}) as bao:
        yield bao


@pytest.fixture(scope="module")
def somebody_elses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with dev_server(tmp_path_factory.mktemp("theirs")) as found:
        yield found


@pytest.fixture
def theirs(somebody_elses: tuple[str, Path], tmp_path: Path) -> Places:
    """Settings of a new stack that is to use the running vault of somebody else's."""
    address, token_file = somebody_elses
    for folder in ("secrets", "run"):
        (tmp_path / folder).mkdir()
    mine = uuid4().hex[:8]
    mounts = {f"{engine}_mount": f"{engine}-{mine}" for engine in ("kv", "transit", "database", "approle")}
    return vault_places(tmp_path, address=address, admin_token_file=token_file, **mounts)


def changed(places: Places, **vault: Any) -> Places:
    return Places(places.settings.model_copy(update={"vault": places.settings.vault.model_copy(update=vault)}))


def everything_under(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


@pytest.mark.promise("C1")
def test_every_secret_lies_in_a_file_for_its_owner_alone(bao: OpenBaoProcess) -> None:
    home = bao.places.home
    assert set(everything_under(home / "secrets")) == {
        "vault-ca.key",
        "vault-server.key",
        "vault-supervisor.role-id",
        "vault-supervisor.secret-id",
        "vault-unseal.key",
    }
    assert set(everything_under(home / "run")) == {f"{role}.{kind}-id" for role in ROLES for kind in ("role", "secret")}
    assert {*everything_under(home / "secrets").values(), *everything_under(home / "run").values()} == {0o600}
    assert stat.S_IMODE(openbao.audit_log(bao.places).stat().st_mode) == 0o600
    for folder in ("vault", "secrets", "run", "logs"):
        assert stat.S_IMODE((home / folder).stat().st_mode) == 0o700


@pytest.mark.promise("C1")
def test_no_secret_is_in_a_log_a_command_line_an_environment_or_a_configuration(bao: OpenBaoProcess) -> None:
    bao.kv("keys").write("bots/planted/refresh", {"token": PLANTED}, cas=None)
    bao.kv("keys").read("bots/planted/refresh")
    home, server = bao.places.home, psutil.Process(bao.pid)
    secrets = [PLANTED, str(bao.client("keys").adapter.token)]
    secrets += [path.read_text(encoding="utf-8").strip() for path in (home / "secrets").glob("*")]
    secrets += [path.read_text(encoding="utf-8").strip() for path in (home / "run").glob("*.secret-id")]
    places = {path.name: path.read_text(encoding="utf-8") for path in (home / "logs").iterdir()}
    places |= {path.name: path.read_text(encoding="utf-8") for path in (home / "vault").glob("*.*")}
    places |= {"command line": " ".join(server.cmdline()), "environment": str(server.environ())}
    assert "bots/planted/refresh" in places["vault-audit.log"]
    assert [name for name, text in places.items() for secret in secrets if secret in text] == []


def test_the_server_cannot_leave_a_core_file(bao: OpenBaoProcess) -> None:
    assert psutil.Process(bao.pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)


def test_a_changed_policy_holds_after_the_next_up(bao: OpenBaoProcess) -> None:
    path = "sys/policies/acl/vivesphere-poster"
    bao.client("provision").put(path, {"policy": 'path "vivesphere-kv/data/*" { capabilities = ["read"] }'})
    bao.kv("keys").write("bots/b1/refresh", {"token": "r"}, cas=None)
    assert bao.kv("poster").read("bots/b1/refresh").data == {"token": "r"}
    vault_provisioning.provision(bao.places)
    with pytest.raises(Denied):
        bao.kv("poster").read("bots/b1/refresh")
    assert bao.client("provision").get(path)["data"]["policy"] == vault_provisioning.policy(bao.places, "poster")


def test_provisioning_again_keeps_keys_and_secrets(bao: OpenBaoProcess) -> None:
    keys = bao.transit("reader").verifying_keys("audit")
    first = vault_provisioning.ensure_secret(bao.places, "postgres/app", lambda: {"password": "first"})
    vault_provisioning.provision(bao.places)
    again = vault_provisioning.ensure_secret(bao.places, "postgres/app", lambda: {"password": "second"})
    assert (again.data["password"], again.version) == (first.data["password"], 1)
    assert bao.transit("reader").verifying_keys("audit") == keys


def test_no_root_token_is_left(bao: OpenBaoProcess) -> None:
    said = (bao.places.logs / "openbao-first-start.log").read_text(encoding="utf-8")
    assert "revoked lease: lease_id=auth/token/root/" in said


def test_renewed_ids_work_and_old_ones_end(bao: OpenBaoProcess) -> None:
    mount = bao.places.settings.vault.approle_mount
    old = bao.places.secret_id("poster").read_text(encoding="utf-8")
    vault_provisioning.renew_secret_ids(bao.places)
    assert bao.places.secret_id("poster").read_text(encoding="utf-8") != old
    role = bao.client("provision").get(f"auth/{mount}/role/poster")["data"]
    assert role["secret_id_ttl"] == bao.places.settings.stack.secret_id_seconds
    with bao.new_client("poster") as vault:
        assert vault.get("auth/token/lookup-self")["data"]["ttl"] <= bao.places.settings.stack.secret_id_seconds


def test_ids_are_good_from_this_machine_alone(bao: OpenBaoProcess) -> None:
    mount = bao.places.settings.vault.approle_mount
    for role in (*ROLES, "supervisor", "provision"):
        found = bao.client("provision").get(f"auth/{mount}/role/{role}")["data"]
        assert [*found["secret_id_bound_cidrs"], *found["token_bound_cidrs"]] == ["127.0.0.1/32", "127.0.0.1"]


def test_a_long_audit_log_is_put_aside_and_the_oldest_dropped(bao: OpenBaoProcess) -> None:
    log = openbao.audit_log(bao.places)
    for _ in range(4):
        while log.stat().st_size < LOG_BYTES:
            bao.client("supervisor").get(f"auth/{bao.places.settings.vault.approle_mount}/role/keys/role-id")
        openbao.keep_up(bao.places, bao.pid)
        while not log.exists():
            bao.client("supervisor").get(f"auth/{bao.places.settings.vault.approle_mount}/role/keys/role-id")
    assert {path.name for path in bao.places.logs.glob("vault-audit*")} == {
        "vault-audit.log",
        "vault-audit.log.1",
        "vault-audit.log.2",
    }


def test_a_renewed_certificate_is_taken_up_while_running(bao: OpenBaoProcess) -> None:
    vault_certificate.server_certificate(bao.places).unlink()
    openbao.keep_up(bao.places, bao.pid)
    with bao.new_client("keys") as vault:
        assert vault.get("auth/token/lookup-self")["data"]["policies"] == ["vivesphere-keys"]


def test_a_vault_of_somebody_elses_is_set_up_the_same_way(theirs: Places) -> None:
    vault_provisioning.provision(theirs)
    settings = theirs.settings.vault
    with Vault.for_role(theirs, "keys") as keys, Vault.for_role(theirs, "poster") as poster:
        Kv(keys, settings.kv_mount, readers=1).write("bots/b1/refresh", {"token": "r"}, cas=0)
        with pytest.raises(Denied):
            Kv(poster, settings.kv_mount, readers=1).read("bots/b1/refresh")
    made = vault_provisioning.ensure_secret(theirs, "postgres/app", lambda: {"password": "p"})
    assert made.data == {"password": "p"}


def test_the_given_token_is_needed_once(theirs: Places) -> None:
    vault_provisioning.provision(theirs)
    vault_provisioning.provision(changed(theirs, admin_token_file=None))


def test_without_a_token_it_says_what_to_do(theirs: Places) -> None:
    with pytest.raises(VaultNotOursError, match=r"vault\.admin_token_file"):
        vault_provisioning.provision(changed(theirs, admin_token_file=None))


def test_a_wrong_token_is_refused_as_such(theirs: Places, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.token"
    wrong.write_text("s.wrong", encoding="utf-8")
    with pytest.raises(SignedOut, match="the token in .* was refused"):
        vault_provisioning.provision(changed(theirs, admin_token_file=wrong))


def test_a_mount_of_another_kind_is_not_touched(theirs: Places) -> None:
    with pytest.raises(VaultNotOursError, match="is of type kv, not transit"):
        vault_provisioning.provision(changed(theirs, transit_mount="secret"))


def test_half_a_foundation_is_completed_the_next_time(theirs: Places, somebody_elses: tuple[str, Path]) -> None:
    with Vault(theirs, TokenFile(somebody_elses[1])) as admin:
        for step in vault_provisioning.foundation(theirs)[:5]:
            admin.put(step.path, step.data)
    vault_provisioning.provision(theirs)
    with Vault.for_role(theirs, "gateway") as vault:
        assert vault.get("auth/token/lookup-self")


def test_the_suite_of_the_vault_runs_on_a_server_of_somebody_elses(somebody_elses: tuple[str, Path]) -> None:
    """As `--vault-address` promises it of any server that speaks this API; the engines are gone afterwards."""
    address, token_file = somebody_elses
    with Vault(vault_places(token_file.parent, address=address), TokenFile(token_file)) as admin:
        before = set(admin.get("sys/mounts")["data"])
        options = ("--vault-address", address, "--vault-token-file", str(token_file), "-q", "-p", "no:cacheprovider")
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *SUITE], capture_output=True, text=True, check=False, timeout=300
        )
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
        print(ended.stdout.splitlines()[-1])
        assert set(admin.get("sys/mounts")["data"]) == before
