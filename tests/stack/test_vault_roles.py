"""What each role may and may not, asked of a real vault."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from blocks.vault.errors import Denied, Missing
from deployments.local import least_privilege, vault_provisioning
from deployments.local.vault_provisioning import AUDIT_KEY, BOT_RECORDS_KEY, ROLES
from tests.openbao_process import OpenBaoProcess, own_openbao

BOT = "bots/b1"
EVERYBODY = [*ROLES, "supervisor", "provision", "backup"]
PASSWORDS = ("app", "owner", "reader", "prefect", "gateway", "poster", "keys", "sealer")


@pytest.fixture(scope="module")
def bao() -> Iterator[OpenBaoProcess]:
    """A vault of its own: what is written here by way of trial would spoil that of the others."""
    with own_openbao() as bao:
        bao.kv("keys").write(f"{BOT}/access", {"token": "a"}, cas=None)
        bao.kv("keys").write(f"{BOT}/refresh", {"token": "r"}, cas=None)
        bao.kv("gateway").write("apps/app1/client", {"secret": "c"}, cas=None)
        bao.kv("gateway").write("services/mail", {"password": "m"}, cas=None)
        bao.kv("gateway").write("notifications/on-call", {"url": "u"}, cas=None)
        for name in PASSWORDS:
            bao.kv("provision").write(f"postgres/{name}", {"password": name}, cas=None)
        yield bao


def allowed(ask: Callable[[], object]) -> bool:
    """A thing that is not there is allowed to be looked for."""
    try:
        ask()
    except Denied:
        return False
    except Missing:
        return True
    return True


READS = {
    f"{BOT}/access": {"poster", "keys"},
    f"{BOT}/refresh": {"keys"},
    "apps/app1/client": {"gateway", "keys"},
    "apps/app1/next": {"keys"},
    "services/mail": {"reader"},
    "notifications/on-call": {"reader"},
    "gateway/anything": {"gateway"},
    "gateway/jwt": {"gateway", "keys"},
    "keys/fingerprint": {"keys"},
    "audit/seal": {"gateway", "sealer", "reader"},
    "postgres/app": {"gateway", "poster", "keys", "sealer", "provision"},
    "postgres/login": {"gateway", "poster", "keys", "sealer", "provision"},
    "postgres/owner": {"provision"},
    "postgres/prefect": {"provision"},
    "postgres/reader": {"reader", "provision"},
    "postgres/gateway": {"gateway", "provision"},
    "postgres/poster": {"poster", "provision"},
    "postgres/keys": {"keys", "provision"},
    "postgres/sealer": {"sealer", "provision"},
    "stack/ready": {"supervisor"},
}
WRITES = {
    "bots/new/access": {"gateway", "keys"},
    "bots/new/refresh": {"gateway", "keys"},
    "apps/new/client": {"gateway", "keys"},
    "apps/new/next": {"gateway"},
    "services/new": {"gateway"},
    "notifications/new": {"gateway"},
    "gateway/new": {"gateway"},
    "gateway/jwt": {"gateway", "keys"},
    "keys/new": {"keys"},
    "audit/seal": {"sealer"},
    "postgres/new": {"provision"},
    "postgres/login": {"keys", "provision"},
    "stack/ready": set(),
    "elsewhere/new": set(),
}


@pytest.mark.promise("C4")
@pytest.mark.parametrize("role", EVERYBODY)
def test_a_role_reads_what_it_needs_and_nothing_else(bao: OpenBaoProcess, role: str) -> None:
    kv = bao.kv(role)
    assert {path for path in READS if allowed(lambda: kv.read(path))} == {  # noqa: B023
        path for path, roles in READS.items() if role in roles
    }


@pytest.mark.promise("C4")
@pytest.mark.parametrize("role", EVERYBODY)
def test_a_role_writes_what_it_must_and_nothing_else(bao: OpenBaoProcess, role: str) -> None:
    kv = bao.kv(role)
    assert {path for path in WRITES if allowed(lambda: kv.write(path, {"x": "y"}, cas=None))} == {  # noqa: B023
        path for path, roles in WRITES.items() if role in roles
    }


@pytest.mark.promise("C4")
@pytest.mark.parametrize("role", EVERYBODY)
def test_only_the_gateway_deletes(bao: OpenBaoProcess, role: str) -> None:
    path = f"bots/{uuid4()}/access"
    bao.kv("keys").write(path, {"token": "a"}, cas=0)
    assert allowed(lambda: bao.kv(role).delete(path)) == (role == "gateway")


@pytest.mark.promise("C4")
@pytest.mark.parametrize("role", EVERYBODY)
def test_only_the_sealer_signs_and_only_the_gateway_looks_into_records(bao: OpenBaoProcess, role: str) -> None:
    mount, client = bao.places.settings.vault.transit_mount, bao.client(role)
    uses: dict[str, dict[str, object]] = {
        f"{mount}/sign/{AUDIT_KEY}": {"input": "eA=="},
        f"{mount}/encrypt/{BOT_RECORDS_KEY}": {"plaintext": "eA==", "context": "eA=="},
        f"{mount}/export/signing-key/{AUDIT_KEY}": {},
        f"{mount}/keys/{AUDIT_KEY}/config": {"deletion_allowed": True},
    }
    may = {"sealer": {f"{mount}/sign/{AUDIT_KEY}"}, "gateway": {f"{mount}/encrypt/{BOT_RECORDS_KEY}"}}
    assert {path for path, body in uses.items() if allowed(lambda: client.put(path, body))} == may.get(  # noqa: B023
        role, set()
    )


@pytest.mark.promise("C4")
@pytest.mark.parametrize("role", EVERYBODY)
def test_no_role_but_provision_touches_the_vault_itself(bao: OpenBaoProcess, role: str) -> None:
    approle, client = bao.places.settings.vault.approle_mount, bao.client(role)
    asks = {
        "policy": lambda: client.put("sys/policies/acl/vivesphere-reader", {"policy": ""}),
        "foreign policy": lambda: client.put("sys/policies/acl/default", {"policy": ""}),
        "mount": lambda: client.put("sys/mounts/more", {"type": "kv"}),
        "audit": lambda: client.put("sys/audit/more", {"type": "file", "options": {"file_path": "discard"}}),
        "copy put back": lambda: client.put("sys/storage/raft/snapshot-force", {}),
        "raw": lambda: client.get("sys/raw/core"),
        "token": lambda: client.put("auth/token/create", {"policies": ["root"]}),
        "supervisor's id": lambda: client.put(f"auth/{approle}/role/supervisor/secret-id", {}),
        "keys' id": lambda: client.put(f"auth/{approle}/role/keys/secret-id", {}),
    }
    assert allowed(lambda: client.download("sys/storage/raft/snapshot", 30)) == (role == "backup")
    if role == "provision":
        asks.pop("policy")  # it may; the tests of provisioning do it
    assert [what for what, ask in asks.items() if allowed(ask)] == (["keys' id"] if role == "supervisor" else [])


@pytest.mark.promise("C4")
def test_the_doctor_lets_every_role_try_what_must_be_refused_and_finds_what_is_not(bao: OpenBaoProcess) -> None:
    found = {one.role: one for one in least_privilege.prove(bao.places)}
    assert set(found) == set(EVERYBODY)
    assert [one for one in found.values() if not one.well] == []
    assert min(one.refused for one in found.values()) > 25
    path = "sys/policies/acl/vivesphere-poster"
    kv, poster_policy = bao.places.settings.vault.kv_mount, vault_provisioning.policy(bao.places, "poster")
    wide = f'{poster_policy}\npath "{kv}/data/*" {{ capabilities = ["read"] }}'
    try:
        bao.client("provision").put(path, {"policy": wide})
        poster = next(one for one in least_privilege.prove(bao.places) if one.role == "poster")
    finally:
        bao.client("provision").put(path, {"policy": poster_policy})
    assert not poster.well
    assert {f"read bots/{least_privilege.NOBODY}/refresh", "read postgres/owner"} <= set(poster.allowed)
