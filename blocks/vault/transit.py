"""Encryption and signatures by keys that never leave the vault."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from blocks.vault.client import Vault
from blocks.vault.errors import Refused
from blocks.vault.sealing import PublicKey, opened, wrapped_key
from config.settings import Vault as VaultSettings

T = TypeVar("T")

OURS_MOST = 10_000


@dataclass(frozen=True)
class Plain:
    """What is to be encrypted; `context` (a bot's id) derives its own key, and must be the same to decrypt."""

    context: str
    value: bytes = field(repr=False)


@dataclass(frozen=True)
class Sealed:
    """What was encrypted; `text` names the key's version and may lie anywhere."""

    context: str
    text: str


@dataclass(frozen=True)
class Versions:
    """The newest version of a key and when it was made (Unix time), and the oldest that still opens anything."""

    latest: int
    made_at: float
    least: int


class Transit:
    """The transit engine on one mount. Batches of 100 are 30 times as fast as single items.

    A longer one is sent in parts of `most` items: servers limit what one request may hold.
    """

    def __init__(self, vault: Vault, mount: str, most: int) -> None:
        self._vault = vault
        self._mount = mount
        self._most = most

    @classmethod
    def of(cls, vault: Vault, settings: VaultSettings) -> Self:
        """The engine that the settings name; our own server takes any batch."""
        return cls(vault, settings.transit_mount, settings.batch if settings.address else OURS_MOST)

    def encrypt(self, key: str, items: Sequence[Plain]) -> list[Sealed]:
        """Encrypt a batch with a derived key; all or none."""
        return [sealed for part in self._parts(items) for sealed in self._encrypt(key, part)]

    def decrypt(self, key: str, items: Sequence[Sealed]) -> list[bytes | None]:
        """Decrypt a batch; None stands where a text is damaged, of another context or of a retired key version."""
        return [value for part in self._parts(items) for value in self._decrypt(key, part)]

    def rewrap(self, key: str, items: Sequence[Sealed]) -> list[Sealed | None]:
        """The same values encrypted by the newest version, without a look inside; None as in `decrypt`."""
        return [sealed for part in self._parts(items) for sealed in self._rewrap(key, part)]

    def _parts(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        return (items[first : first + self._most] for first in range(0, len(items), self._most))

    def _encrypt(self, key: str, items: Sequence[Plain]) -> list[Sealed]:
        batch = [{"context": _coded(item.context.encode()), "plaintext": _coded(item.value)} for item in items]
        answer = self._ask(f"encrypt {len(items)} values with {key}", f"encrypt/{key}", {"batch_input": batch})
        results = answer["data"]["batch_results"]
        return [Sealed(item.context, result["ciphertext"]) for item, result in zip(items, results, strict=True)]

    def _decrypt(self, key: str, items: Sequence[Sealed]) -> list[bytes | None]:
        batch = [{"context": _coded(item.context.encode()), "ciphertext": item.text} for item in items]
        # Each item carries its own verdict; with the usual code one bad item would fail the whole batch.
        body = {"batch_input": batch, "partial_failure_response_code": 200}
        answer = self._ask(f"decrypt {len(items)} values with {key}", f"decrypt/{key}", body)
        return [_plaintext(result) for result in answer["data"]["batch_results"]]

    def _rewrap(self, key: str, items: Sequence[Sealed]) -> list[Sealed | None]:
        batch = [{"context": _coded(item.context.encode()), "ciphertext": item.text} for item in items]
        try:
            answer = self._ask(f"rewrap {len(items)} values with {key}", f"rewrap/{key}", {"batch_input": batch})
        except Refused:
            # Where none of a batch opens, the vault refuses it as a whole.
            return [None for _ in items]
        results = answer["data"]["batch_results"]
        return [
            None if result.get("error") else Sealed(item.context, result["ciphertext"])
            for item, result in zip(items, results, strict=True)
        ]

    def versions(self, key: str) -> Versions:
        """How old a symmetric key is."""
        found = self._vault.get(f"{self._mount}/keys/{key}")["data"]
        latest = int(found["latest_version"])
        return Versions(latest, float(found["keys"][str(latest)]), int(found["min_decryption_version"]))

    def rotate(self, key: str) -> None:
        """Make the next version, which encrypts from here on; not to be repeated blindly."""
        path = f"/v1/{self._mount}/keys/{key}/rotate"
        self._vault.call(f"rotate {key}", lambda: self._vault.adapter.post(path, json={}), writes=True)

    def raise_minimum(self, key: str, version: int) -> None:
        """Let no older version than this decrypt any more."""
        self._vault.put(f"{self._mount}/keys/{key}/config", {"min_decryption_version": version})

    def sign(self, key: str, value: bytes) -> str:
        """Signature of `value`, with the key's version in front; needs the key's own role."""
        answer = self._ask(f"sign with {key}", f"sign/{key}", {"input": _coded(value)})
        return str(answer["data"]["signature"])

    def verifying_keys(self, key: str) -> dict[int, bytes]:
        """The public halves of an Ed25519 key by version: with them a signature is checked without the vault."""
        found = self._vault.get(f"{self._mount}/keys/{key}")["data"]["keys"]
        return {int(version): b64decode(one["public_key"]) for version, one in found.items()}

    def public_key(self, key: str) -> PublicKey:
        """The newest public half of an RSA key, to seal to without the vault."""
        found = self._vault.get(f"{self._mount}/keys/{key}")["data"]
        version = int(found["latest_version"])
        public = load_pem_public_key(found["keys"][str(version)]["public_key"].encode("ascii"))
        if not isinstance(public, RSAPublicKey):
            raise Refused(f"seal to {key}: it is no RSA key")
        return PublicKey(version, public)

    def unseal(self, key: str, text: str, context: str) -> bytes:
        """Open what was sealed to the public half; raises Refused where it is damaged or of another context."""
        try:
            answer = self._ask(f"unseal with {key}", f"decrypt/{key}", {"ciphertext": wrapped_key(text)})
            return opened(text, b64decode(answer["data"]["plaintext"]), context)
        except ValueError as error:
            problem = Refused(f"unseal with {key}: {error}")
        raise problem

    def _ask(self, asked: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        # None of these changes anything in the vault, so each may be repeated like a read.
        return self._vault.call(
            asked, lambda: self._vault.adapter.post(f"/v1/{self._mount}/{path}", json=body), writes=False
        )


def _coded(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _plaintext(result: Mapping[str, Any]) -> bytes | None:
    return None if result.get("error") else b64decode(result["plaintext"])
