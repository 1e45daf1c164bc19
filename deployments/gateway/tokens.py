"""Access tokens: signed, short-lived names of a user; what he may do is looked up at each request."""

import asyncio
import json
import secrets
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError, SecurityWarning
from joserfc.jwk import KeySet, OKPKey

from blocks.vault.errors import Conflict, Missing
from tasks.connections import Connections

KEYS_PATH = "gateway/jwt"
ALGORITHM = "EdDSA"
ISSUER = "vivesphere"
AUDIENCE = "vivesphere-api"

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
    """Whom a token names, and until when."""

    username: str
    expires_at: datetime


@dataclass(frozen=True)
class Signer:
    """The keys of this installation: the first signs, all of them verify."""

    keys: KeySet
    life: timedelta

    def issue(self, username: str) -> AccessToken:
        """A new token for a user."""
        now = datetime.now(UTC).replace(microsecond=0)
        key = self.keys.keys[0]
        claims = {
            "sub": username,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + self.life).timestamp()),
            "jti": secrets.token_hex(16),
        }
        token = jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])
        return AccessToken(token, now + self.life)

    def holder(self, token: str) -> Holder:
        """Whom a token names; raises TokenRefusedError."""
        try:
            claims = jwt.decode(token, self.keys, algorithms=[ALGORITHM]).claims
            _REQUIRED.validate(claims)
            return Holder(claims["sub"], datetime.fromtimestamp(claims["exp"], UTC))
        except ExpiredTokenError:
            raise TokenRefusedError(expired=True) from None
        except (JoseError, ValueError, TypeError, KeyError):
            raise TokenRefusedError(expired=False) from None


_REQUIRED = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    sub={"essential": True},
    exp={"essential": True},
    iat={"essential": True},
    jti={"essential": True},
)


async def signer(at: Connections) -> Signer:
    """The signer of this installation; its key is made by whoever comes first."""
    life = timedelta(seconds=at.places.settings.gateway.access_token_seconds)
    return Signer(await asyncio.to_thread(_keys, at), life)


def _keys(at: Connections) -> KeySet:
    try:
        return _read(at)
    except Missing:
        key = OKPKey.generate_key("Ed25519", {"kid": secrets.token_hex(8), "use": "sig", "alg": ALGORITHM})
    fresh = KeySet([key])
    try:
        at.kv.write(KEYS_PATH, {"jwks": json.dumps(fresh.as_dict(private=True))}, 0)
    except Conflict:
        return _read(at)
    return fresh


def _read(at: Connections) -> KeySet:
    return KeySet.import_key_set(json.loads(at.kv.read(KEYS_PATH).data["jwks"]))
