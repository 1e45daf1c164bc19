"""Reading and writing secrets in a real vault."""

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from blocks.vault.client import AppRole, Vault
from blocks.vault.errors import Conflict, Denied, Missing, SignedOut
from blocks.vault.kv import Kv, Secret
from deployments.local import vault_provisioning
from tests.openbao_process import OpenBaoProcess, shared_openbao

PLANTED = "planted-s3cret"


@pytest.fixture(scope="module")
def bao() -> OpenBaoProcess:
    return shared_openbao()


@pytest.fixture
def kv(bao: OpenBaoProcess) -> Kv:
    return bao.kv("keys")


@pytest.fixture
def path() -> str:
    return f"bots/{uuid4()}/access"


def test_a_secret_comes_back_with_its_version_and_time(kv: Kv, path: str) -> None:
    assert kv.write(path, {"token": "one"}, cas=0) == 1
    assert kv.write(path, {"token": "two"}, cas=1) == 2
    found = kv.read(path)
    assert (found.data, found.version) == ({"token": "two"}, 2)
    assert abs(found.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert kv.read(path, version=1).data == {"token": "one"}
    assert kv.metadata(path).version == 2


def test_a_secret_does_not_show_where_it_is_printed(kv: Kv, path: str) -> None:
    kv.write(path, {"token": PLANTED}, cas=0)
    found = kv.read(path)
    assert PLANTED not in f"{found} {found!r} {[found]}"


@pytest.mark.parametrize("stale", [0, 1, 3])
def test_a_write_based_on_another_version_is_a_conflict(kv: Kv, path: str, stale: int) -> None:
    kv.write(path, {"token": "one"}, cas=0)
    kv.write(path, {"token": "two"}, cas=1)
    with pytest.raises(Conflict):
        kv.write(path, {"token": "late"}, cas=stale)
    assert kv.read(path).data == {"token": "two"}


def test_of_many_writers_at_one_version_one_wins(kv: Kv, path: str) -> None:
    def write(name: str) -> int | None:
        try:
            return kv.write_once(path, {"token": name}, cas=0, attempt_id=name)
        except Conflict:
            return None

    names = [f"writer-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        won = [name for name, version in zip(names, threads.map(write, names), strict=True) if version]
    assert [kv.read(path).data["token"]] == won


def test_the_same_attempt_twice_is_one_version(kv: Kv, path: str) -> None:
    assert kv.write_once(path, {"token": "one"}, cas=0, attempt_id="first") == 1
    assert kv.write_once(path, {"token": "one"}, cas=0, attempt_id="first") == 1
    kv.write(path, {"token": "two"}, cas=1)
    assert kv.write_once(path, {"token": "one"}, cas=0, attempt_id="first") == 1
    assert kv.metadata(path).version == 2


def test_what_is_deleted_is_missing_with_all_its_versions(bao: OpenBaoProcess, kv: Kv, path: str) -> None:
    kv.write(path, {"token": "one"}, cas=0)
    bao.kv("gateway").delete(path)
    bao.kv("gateway").delete(path)
    for ask in (lambda: kv.read(path), lambda: kv.read(path, version=1), lambda: kv.metadata(path)):
        with pytest.raises(Missing):
            ask()
    assert kv.write(path, {"token": "new"}, cas=0) == 1


def test_many_are_read_at_once_and_each_has_its_own_verdict(kv: Kv) -> None:
    bot = uuid4()
    kv.write(f"bots/{bot}/access", {"token": "a"}, cas=0)
    found = kv.read_many([f"bots/{bot}/access", f"bots/{bot}/refresh", "postgres/owner"])
    assert isinstance(found[f"bots/{bot}/access"], Secret)
    assert isinstance(found[f"bots/{bot}/refresh"], Missing)
    assert isinstance(found["postgres/owner"], Denied)


def test_the_environment_cannot_send_us_to_another_vault(
    bao: OpenBaoProcess, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "VAULT_ADDR": "https://127.0.0.1:1",
        "VAULT_TOKEN": "another",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "REQUESTS_CA_BUNDLE": "/nowhere.pem",
    }.items():
        monkeypatch.setenv(name, value)
    with bao.new_client("keys") as vault:
        kv = Kv(vault, bao.places.settings.vault.kv_mount, readers=1)
        assert kv.write(path, {"token": "here"}, cas=0) == 1


def test_a_dead_token_is_replaced_once_however_many_threads_find_out(bao: OpenBaoProcess, path: str) -> None:
    bao.kv("keys").write(path, {"token": "a"}, cas=0)
    with bao.new_client("keys") as vault:
        kv = Kv(vault, bao.places.settings.vault.kv_mount, readers=8)
        kv.read(path)
        vault.adapter.token = "s.dead"
        tokens: set[str | None] = set()
        together = threading.Barrier(8)

        def read() -> str:
            together.wait()
            data = kv.read(path).data
            tokens.add(vault.adapter.token)
            return data["token"]

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda _: read(), range(8))) == ["a"] * 8
        assert len(tokens) == 1 and "s.dead" not in tokens


def test_a_refusal_by_policy_does_not_sign_in_again(bao: OpenBaoProcess) -> None:
    with bao.new_client("poster") as vault:
        kv = Kv(vault, bao.places.settings.vault.kv_mount, readers=1)
        with pytest.raises(Missing):
            kv.read(f"bots/{uuid4()}/access")
        before = vault.adapter.token
        with pytest.raises(Denied):
            kv.read(f"bots/{uuid4()}/refresh")
        assert vault.adapter.token == before


def test_a_token_near_its_end_is_renewed_and_at_its_longest_life_replaced(bao: OpenBaoProcess, path: str) -> None:
    with bao.new_client("keys") as vault:
        kv = Kv(vault, bao.places.settings.vault.kv_mount, readers=1)
        kv.write(path, {"token": "a"}, cas=0)
        first = vault.adapter.token
        vault._renew_at = 0.0
        kv.read(path)
        assert (vault.adapter.token, vault._renew_at > 0) == (first, True)
        vault._renew_at, vault._lease_seconds = 0.0, 1e9  # as if the vault granted a sliver of what it once did
        kv.read(path)
        assert vault.adapter.token != first


def test_wrong_ids_say_so_and_name_no_id(bao: OpenBaoProcess) -> None:
    mount = bao.places.settings.vault.approle_mount
    with Vault(bao.places, AppRole(mount, "nobody", PLANTED), patience_seconds=0) as vault:
        assert PLANTED not in repr(AppRole(mount, "nobody", PLANTED))
        with pytest.raises(SignedOut) as refused:
            vault.get("x")
    assert PLANTED not in "".join(traceback.format_exception(refused.value))


def test_ids_that_are_not_there_yet_name_the_file(bao: OpenBaoProcess) -> None:
    with (
        Vault.for_role(bao.places, "nobody") as vault,
        pytest.raises(SignedOut, match=r"nobody\.role-id cannot be read"),
    ):
        vault.get("x")


def test_a_new_secret_id_is_taken_up_without_a_restart(bao: OpenBaoProcess, path: str) -> None:
    bao.kv("keys").write(path, {"token": "a"}, cas=0)
    with bao.new_client("poster") as vault:
        kv = Kv(vault, bao.places.settings.vault.kv_mount, readers=1)
        kv.read(path)
        vault_provisioning.renew_secret_ids(bao.places)
        vault.adapter.token = "s.dead"
        assert kv.read(path).data == {"token": "a"}


def test_no_error_carries_a_planted_secret_in_any_part(bao: OpenBaoProcess) -> None:
    with pytest.raises(Denied) as refused:
        bao.kv("poster").write("bots/1/refresh", {"token": PLANTED}, cas=0)
    error = refused.value
    assert PLANTED not in f"{error!r}{vars(error)}{''.join(traceback.format_exception(error))}"
    assert error.__cause__ is None and error.__context__ is None
