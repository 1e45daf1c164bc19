"""What the audit is made of: which values a row may show, its canonical form and hash, and the seal over many rows.

Hashes are those of RFC 6962: a leaf and a node can never be taken for each other.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# The transit key that seals are signed with, and where in the vault the last one is kept.
AUDIT_KEY = "audit"
ANCHOR_PATH = "audit/seal"

# What a row may show of a thing, before and after. Whatever is not named here (texts of posts, descriptions, secrets)
# shows as a name under `hidden` and never as a value.
FIELDS: Mapping[str, frozenset[str]] = {
    "posts": frozenset(
        "bot due_at planned_at expires_at spread_seconds misfire misfire_within_seconds status reason revision source"
        " origin external_id x_post_id reply_to_x_post_id quote_x_post_id reply_settings made_with_ai paid_partnership"
        " thread_id thread_place".split()
    ),
    "bots": frozenset(
        "handle state time_zone posts_per_day_max labels operator_handle persona app x_app_id x_user_id"
        " label_confirmed_by bio_names_operator".split()
    ),
    "apps": frozenset("name use_case stage client_id redirect_uri monthly_budget_usd".split()),
    "credentials": frozenset("service version expires_at".split()),
    "personas": frozenset("name languages".split()),
    "settings": frozenset(["value"]),
    "access": frozenset("username role label ends_at disabled".split()),
}

_NO_SEAL = bytes(32)


@dataclass(frozen=True)
class AuditRow:
    """One change, as it stands in the audit."""

    id: int
    xid: int
    at: datetime
    category: str
    actor: str
    actor_kind: str
    action: str
    subject: str
    bot_id: UUID | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    details: Mapping[str, Any]
    personal: str | None


@dataclass(frozen=True)
class Leaf:
    """A sealed row: its place in the whole audit, and its hash when it was sealed."""

    position: int
    row_id: int
    hash: bytes


@dataclass(frozen=True)
class Seal:
    """What stands for `leaves` rows from the position `first` on, and through `previous` for all seals before it.

    `below`: every row of an earlier transaction than this is sealed by now. `signature` is the vault's.
    """

    number: int
    first: int
    leaves: int
    below: int
    root: bytes
    previous: bytes
    sealed_at: datetime
    signature: str = ""

    @property
    def end(self) -> int:
        """Position of the leaf that comes next."""
        return self.first + self.leaves

    @property
    def content(self) -> bytes:
        """What is signed."""
        said = {name: value for name, value in plain(asdict(self)).items() if name != "signature"}
        return b"vivesphere audit seal 1\n" + _canonical(said)

    @property
    def digest(self) -> bytes:
        """What the next seal says of this one."""
        return hashlib.sha256(self.content).digest()


def shown(kind: str, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Of a thing's values those that an audit row may show; the others by name alone, under `hidden`."""
    if values is None:
        return None
    allowed = FIELDS.get(kind, frozenset())
    hidden = sorted(name for name in values if name not in allowed)
    return plain(
        {name: value for name, value in values.items() if name in allowed} | ({"hidden": hidden} if hidden else {})
    )


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them: instants in UTC, bytes in hexadecimal, everything that JSON does not know as text."""
    return {str(name): _plain(value) for name, value in values.items()}


def canonical(row: AuditRow) -> bytes:
    """The one form in bytes of a row; two rows that differ anywhere have two forms."""
    return _canonical(plain(asdict(row)))


def leaf_hash(row: AuditRow) -> bytes:
    """Hash of a row."""
    return hashlib.sha256(b"\x00" + canonical(row)).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Root of the Merkle tree over hashes of leaves; there is at least one."""
    level = list(hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[len(level) - len(level) % 2 :]
        level = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0]


def next_seal(rows: Sequence[AuditRow], last: Seal | None, below: int, now: datetime) -> tuple[Seal, list[Leaf]]:
    """The unsigned seal over `rows`, in their order, that follows `last`; and its leaves."""
    first = last.end if last else 1
    leaves = [Leaf(first + place, row.id, leaf_hash(row)) for place, row in enumerate(rows)]
    seal = Seal(
        number=last.number + 1 if last else 1,
        first=first,
        leaves=len(leaves),
        below=below,
        root=root([leaf.hash for leaf in leaves]),
        previous=last.digest if last else _NO_SEAL,
        sealed_at=now,
    )
    return seal, leaves


def follows(seal: Seal, before: Seal | None) -> bool:
    """Whether a seal is the one right after `before` (None: the very first)."""
    if before is None:
        return (seal.number, seal.first, seal.previous) == (1, 1, _NO_SEAL)
    return (seal.number, seal.first, seal.previous) == (before.number + 1, before.end, before.digest)


def signed_by(keys: Mapping[int, bytes]) -> Callable[[Seal], bool]:
    """Whether the vault signed a seal; `keys` are the public halves by version, 32 bytes each."""
    public = {version: Ed25519PublicKey.from_public_bytes(key) for version, key in keys.items()}

    def signed(seal: Seal) -> bool:
        try:
            _, version, signature = seal.signature.split(":")
            public[int(version.removeprefix("v"))].verify(b64decode(signature, validate=True), seal.content)
        except (ValueError, KeyError, InvalidSignature):
            return False
        return True

    return signed


def fingerprint(keys: Mapping[int, bytes]) -> str:
    """A short name of the public keys, for a person to compare."""
    said = b"".join(version.to_bytes(4, "big") + keys[version] for version in sorted(keys))
    return hashlib.sha256(said).hexdigest()[:32]


def to_json(thing: AuditRow | Seal | Leaf) -> dict[str, Any]:
    """A row, a seal or a leaf as JSON; `from_json` reads it back to the same."""
    return plain(asdict(thing))


def row_from_json(said: Mapping[str, Any]) -> AuditRow:
    """Raises KeyError, TypeError or ValueError where it is no row."""
    return AuditRow(
        **{field.name: said[field.name] for field in fields(AuditRow) if field.name not in ("at", "bot_id")},
        at=datetime.fromisoformat(said["at"]),
        bot_id=UUID(said["bot_id"]) if said["bot_id"] else None,
    )


def seal_from_json(said: Mapping[str, Any]) -> Seal:
    """Raises KeyError, TypeError or ValueError where it is no seal."""
    found = Seal(**{field.name: said[field.name] for field in fields(Seal)})
    return replace(
        found,
        root=bytes.fromhex(said["root"]),
        previous=bytes.fromhex(said["previous"]),
        sealed_at=datetime.fromisoformat(said["sealed_at"]),
    )


def leaf_from_json(said: Mapping[str, Any]) -> Leaf:
    """Raises KeyError, TypeError or ValueError where it is no leaf."""
    return Leaf(said["position"], said["row_id"], bytes.fromhex(said["hash"]))


def _canonical(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case Mapping():
            return plain(value)
        case set() | frozenset():
            return sorted(_plain(item) for item in value)
        case Iterable():
            return [_plain(item) for item in value]
    return str(value)
