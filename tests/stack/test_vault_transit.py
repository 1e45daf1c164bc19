"""Keys that never leave the vault."""

from base64 import b64decode
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from blocks.vault.errors import Denied, Refused
from blocks.vault.transit import Plain, Sealed
from deployments.local.vault_provisioning import AUDIT_KEY, BOT_RECORDS_KEY
from tasks.domain.credentials import ESCROW_KEY
from tests.openbao_process import OpenBaoProcess, shared_openbao


@pytest.fixture(scope="module")
def bao() -> OpenBaoProcess:
    return shared_openbao()


def test_a_batch_comes_back_as_it_went_in(bao: OpenBaoProcess) -> None:
    transit = bao.transit("gateway")
    items = [Plain(f"bot-{number % 7}", f"value {number}".encode()) for number in range(2_000)]
    sealed = transit.encrypt(BOT_RECORDS_KEY, items)
    assert not any("value" in item.text for item in sealed)
    assert transit.decrypt(BOT_RECORDS_KEY, sealed) == [item.value for item in items]


def test_a_text_of_another_bot_or_a_damaged_one_spoils_no_other(bao: OpenBaoProcess) -> None:
    transit = bao.transit("gateway")
    (mine,) = transit.encrypt(BOT_RECORDS_KEY, [Plain("bot-1", b"mine")])
    asked = [
        mine,
        Sealed("bot-2", mine.text),
        Sealed("bot-1", mine.text[:-8] + "AAAAAA=="),
        Sealed("bot-1", "nonsense"),
    ]
    assert transit.decrypt(BOT_RECORDS_KEY, asked) == [b"mine", None, None, None]


def test_a_plain_value_does_not_show(bao: OpenBaoProcess) -> None:
    assert "mine" not in repr(Plain("bot-1", b"mine"))


def test_a_seal_is_verified_by_those_who_cannot_make_one(bao: OpenBaoProcess) -> None:
    root = uuid4().bytes
    _, version, signature = bao.transit("sealer").sign(AUDIT_KEY, root).split(":")
    for role in ("reader", "gateway"):
        key = bao.transit(role).verifying_keys(AUDIT_KEY)[int(version.removeprefix("v"))]
        Ed25519PublicKey.from_public_bytes(key).verify(b64decode(signature), root)
        with pytest.raises(Denied):
            bao.transit(role).sign(AUDIT_KEY, root)


@pytest.mark.promise("C3")
def test_what_is_sealed_without_the_vault_the_keys_role_alone_opens(bao: OpenBaoProcess) -> None:
    public, value = bao.transit("keys").public_key(ESCROW_KEY), uuid4().bytes * 100
    with bao.frozen():
        text = public.seal(value, "attempt-1")
    assert bao.transit("keys").unseal(ESCROW_KEY, text, "attempt-1") == value
    for role in ("gateway", "poster", "sealer", "reader", "provision"):
        with pytest.raises(Denied):
            bao.transit(role).unseal(ESCROW_KEY, text, "attempt-1")


def test_a_seal_of_another_attempt_or_a_damaged_one_is_refused(bao: OpenBaoProcess) -> None:
    keys = bao.transit("keys")
    text = keys.public_key(ESCROW_KEY).seal(b"tokens", "attempt-1")
    version, wrapped, sealed = text.split(":")
    for damaged, context in (
        (text, "attempt-2"),
        (f"{version}:{wrapped}:{sealed[:-4]}AAA=", "attempt-1"),
        ("nonsense", "attempt-1"),
    ):
        with pytest.raises(Refused):
            keys.unseal(ESCROW_KEY, damaged, context)


def test_a_key_of_another_kind_has_no_public_half_to_seal_to(bao: OpenBaoProcess) -> None:
    with pytest.raises((Refused, Denied)):
        bao.transit("keys").public_key(AUDIT_KEY)
