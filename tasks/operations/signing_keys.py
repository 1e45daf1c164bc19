"""The keys that sign access tokens: one JWK set in the vault, whose first signs and all of which verify.

So a new key comes in at the end, moves to the front once everybody has read it, and goes once all that another has
signed has ended.
"""

import json
import secrets
from collections.abc import Mapping

from joserfc.jwk import KeySet, OKPKey

from tasks.connections import Connections

KEYS_PATH = "gateway/jwt"
ALGORITHM = "EdDSA"


def new_key(kid: str | None = None) -> OKPKey:
    """A key with a name of its own, or with the one given."""
    return OKPKey.generate_key("Ed25519", {"kid": kid or secrets.token_hex(8), "use": "sig", "alg": ALGORITHM})


def stored(keys: KeySet) -> Mapping[str, str]:
    """A set as it lies in the vault."""
    return {"jwks": json.dumps(keys.as_dict(private=True))}


def read(at: Connections) -> tuple[KeySet, int]:
    """The set, and its version in the vault; raises Missing before a gateway has made the first key."""
    found = at.kv.read(KEYS_PATH)
    return KeySet.import_key_set(json.loads(found.data["jwks"])), found.version
