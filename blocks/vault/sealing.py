"""Sealing to a public key whose private half never leaves the vault: it works while the vault is away."""

import os
from base64 import b64decode, b64encode
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

NONCE_BYTES = 12
KEY_BITS = 256


@dataclass(frozen=True)
class PublicKey:
    """One version of an RSA key of the transit engine; keep it, and seal without asking anybody."""

    version: int
    key: RSAPublicKey

    def seal(self, value: bytes, context: str) -> str:
        """A text that only the vault opens, of any length and for one `context`: `version:wrapped key:sealed value`."""
        secret, nonce = AESGCM.generate_key(KEY_BITS), os.urandom(NONCE_BYTES)
        # As the transit engine decrypts it unasked.
        wrapped = self.key.encrypt(secret, OAEP(MGF1(SHA256()), SHA256(), label=None))
        sealed = nonce + AESGCM(secret).encrypt(nonce, value, context.encode())
        return f"{self.version}:{_coded(wrapped)}:{_coded(sealed)}"


def wrapped_key(text: str) -> str:
    """The part of a sealed text that the vault decrypts, as it wants to have it. Raises ValueError."""
    version, wrapped, _ = text.split(":")
    return f"vault:v{int(version)}:{wrapped}"


def opened(text: str, secret: bytes, context: str) -> bytes:
    """The sealed value; raises ValueError where text, key and context do not belong together."""
    sealed = b64decode(text.split(":")[2])
    try:
        return AESGCM(secret).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
    except InvalidTag:
        raise ValueError("the sealed text is damaged, or of another context") from None


def _coded(value: bytes) -> str:
    return b64encode(value).decode("ascii")
