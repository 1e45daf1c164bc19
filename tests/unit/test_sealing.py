"""Sealing to a public key; opening is the vault's, see tests/stack/test_vault_transit.py."""

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from blocks.vault.sealing import PublicKey, opened, wrapped_key

KEY = PublicKey(3, generate_private_key(65537, 2048).public_key())


def test_what_is_sealed_twice_differs_and_shows_nothing() -> None:
    one, other = KEY.seal(b"a secret", "attempt"), KEY.seal(b"a secret", "attempt")
    assert one != other
    assert "secret" not in one


def test_the_vault_is_told_the_version_and_the_wrapped_key_alone() -> None:
    text = KEY.seal(b"a secret", "attempt")
    version, wrapped, _ = text.split(":")
    assert (version, wrapped_key(text)) == ("3", f"vault:v3:{wrapped}")


@pytest.mark.parametrize("text", ["", "no seal", "x:y:z"])
def test_what_is_no_seal_is_not_sent_to_the_vault(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        wrapped_key(text)


def test_a_wrong_key_opens_nothing() -> None:
    with pytest.raises(ValueError, match="damaged"):
        opened(KEY.seal(b"a secret", "attempt"), bytes(32), "attempt")
