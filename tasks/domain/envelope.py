"""Envelopes: a value sealed by a key of its own, which two others must open together.

The value's own key is wrapped by the vault and lies beside it. To it belongs a second half that is the bot's and lies
in the vault alone: once that half is gone, no copy of the database, however old, can be opened again.
"""

import json
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
# NIST SP 800-38D: a nonce of 96 bits; each key seals one value, so that none can repeat.
NONCE_BYTES = 12
_USE = b"vivesphere bot record 1"


class CannotOpenError(ValueError):
    """The value was changed, belongs elsewhere, or the halves of its key are not the ones it was sealed by."""


@dataclass(frozen=True)
class Place:
    """Where a sealed value belongs; moved to another place it does not open."""

    bot_id: str
    name: str
    version: int

    @property
    def bound(self) -> bytes:
        """The place as bytes that no other place has."""
        return json.dumps([self.bot_id, self.name, self.version]).encode()


@dataclass(frozen=True)
class Halves:
    """The two halves of a key: the value's own, and the bot's."""

    own: bytes = field(repr=False)
    of_bot: bytes = field(repr=False)

    def joined(self) -> bytes:
        """The key they make together (HKDF, RFC 5869)."""
        return HKDF(SHA256(), KEY_BYTES, salt=self.of_bot, info=_USE).derive(self.own)


def seal(value: bytes, halves: Halves, nonce: bytes, place: Place) -> bytes:
    """AES-256-GCM over the value, bound to its place; `nonce` and halves are random and used once."""
    return AESGCM(halves.joined()).encrypt(nonce, value, place.bound)


def open_(sealed: bytes, halves: Halves, nonce: bytes, place: Place) -> bytes:
    """The value; raises CannotOpenError."""
    try:
        return AESGCM(halves.joined()).decrypt(nonce, sealed, place.bound)
    except InvalidTag:
        raise CannotOpenError from None
