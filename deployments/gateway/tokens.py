"""Access tokens: signed, short-lived names of a user; what he may do is looked up at each request."""

import asyncio
import base64
import json
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError, SecurityWarning
from joserfc.jwk import KeySet

from blocks.vault.errors import Conflict, Missing
from tasks.connections import Connections
from tasks.operations.signing_keys import ALGORITHM, KEYS_PATH, new_key, read, stored

ISSUER = "vivesphere"
AUDIENCE = "vivesphere-api"
# The set is read again when it is this old, and for a key that is not in it at most this often.
KEYS_FRESH_SECONDS = 60.0
KEYS_AGAIN_SECONDS = 2.0

# RFC 9864 renames this algorithm to "Ed25519", which most other libraries do not know yet.
warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)


class TokenRefusedError(Exception):
    """A token is not, or no longer, one of ours; the message never repeats it."""

    def __init__(self, expired: bool) -> None:
        super().__init__("the access token has expired" if expired else "the access token is not one of ours")
        self.expired = expired


@dataclass(frozen=True)
class AccessToken:
    """A token, and the instant at which it ends."""

    value: str
    expires_at: datetime


@dataclass(frozen=True)
class Holder:
    """Whom a token names, and until when; a change of the user's generation voids it."""

    username: str
    generation: int
    expires_at: datetime


@dataclass
class Signer:
    """The keys of this installation, as `read` finds them in the vault."""

    life: timedelta
    read: Callable[[], KeySet]
    keys: KeySet = field(default_factory=lambda: KeySet([]))
    _read_at: float = float("-inf")

    async def refresh(self, older_than_seconds: float = KEYS_FRESH_SECONDS) -> None:
        """Read the keys again, unless that was done only just now."""
        if time.monotonic() - self._read_at > older_than_seconds:
            self._read_at = time.monotonic()
            self.keys = await asyncio.to_thread(self.read)

    async def issue(self, username: str, generation: int) -> AccessToken:
        """A new token for a user."""
        await self.refresh()
        now = datetime.now(UTC).replace(microsecond=0)
        key = self.keys.keys[0]
        claims = {
            "sub": username,
            "gen": generation,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + self.life).timestamp()),
            "jti": secrets.token_hex(16),
        }
        token = jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])
        return AccessToken(token, now + self.life)

    async def holder(self, token: str) -> Holder:
        """Whom a token names; raises TokenRefusedError."""
        # Somebody else may have put a key in since we looked.
        if _kid(token) not in {key.kid for key in self.keys.keys}:
            await self.refresh(KEYS_AGAIN_SECONDS)
        try:
            claims = jwt.decode(token, self.keys, algorithms=[ALGORITHM]).claims
            _REQUIRED.validate(claims)
            return Holder(claims["sub"], int(claims["gen"]), datetime.fromtimestamp(claims["exp"], UTC))
        except ExpiredTokenError:
            raise TokenRefusedError(expired=True) from None
        except (JoseError, ValueError, TypeError, KeyError):
            raise TokenRefusedError(expired=False) from None

    async def public_keys(self) -> Mapping[str, Any]:
        """What others verify our tokens by."""
        await self.refresh()
        return self.keys.as_dict(private=False)


_REQUIRED = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    sub={"essential": True},
    gen={"essential": True},
    exp={"essential": True},
    iat={"essential": True},
    jti={"essential": True},
)


async def signer(at: Connections) -> Signer:
    """The signer of this installation; its first key is made by whoever comes first."""
    found = Signer(timedelta(seconds=at.places.settings.gateway.access_token_seconds), lambda: _keys(at))
    await found.refresh()
    return found


def _keys(at: Connections) -> KeySet:
    try:
        return read(at)[0]
    except Missing:
        fresh = KeySet([new_key()])
    try:
        at.kv.write(KEYS_PATH, stored(fresh), 0)
    except Conflict:
        return read(at)[0]
    return fresh


def _kid(token: str) -> str | None:
    """The name of the key that a token says it is signed by; it is only believed once the signature fits."""
    head = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        return str(header["kid"])
    except (ValueError, KeyError, TypeError):
        return None
