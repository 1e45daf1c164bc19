"""A change that is sent twice happens once: the second time it is answered as the first time.

An answer may hold a secret that is shown once, such as a new API key, and a request may hold one. So nothing of either
is kept in the clear: digests are made with a key that lies in the vault, and an answer is sealed under a key that takes
both that one and the sender's own, which is not kept.
"""

import asyncio
import base64
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from blocks.vault.errors import Conflict, Missing
from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.store import idempotency_keys
from tasks.store.idempotency_keys import Known

KEY_PATH = "gateway/idempotency"
NONCE_BYTES = 12
# A request without an answer after this time has broken off; what it did is for its sender to find out.
AT_WORK = timedelta(minutes=2)


class ReusedKeyError(ValueError):
    """The key was sent with another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was sent with another request: take a new key for each change")


class AtWorkError(RuntimeError):
    """The request that came first is not answered yet."""

    def __init__(self) -> None:
        super().__init__("the request with this Idempotency-Key is still at work: send it again in a moment")


class BrokenOffError(RuntimeError):
    """The request that came first was never answered."""

    def __init__(self) -> None:
        super().__init__(
            "the request with this Idempotency-Key broke off, and may have changed something: look, then take a new key"
        )


@dataclass(frozen=True)
class Answer:
    """What was answered, to be said again."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Claim:
    """The right to answer under one key."""

    key_hmac: bytes
    sealing_key: bytes


@dataclass(frozen=True)
class _Secret:
    """The half of every key that lies in the vault."""

    value: bytes

    def of(self, purpose: str, *parts: bytes) -> bytes:
        told = b"".join(len(part).to_bytes(8, "big") + part for part in (purpose.encode(), *parts))
        return hmac.digest(self.value, told, "sha256")


@dataclass
class _Held:
    """The secret of this installation, once it was read."""

    secret: _Secret | None = None

    async def get(self, at: Connections) -> _Secret:
        if self.secret is None:
            self.secret = await asyncio.to_thread(_secret, at)
        return self.secret


async def begin(at: Connections, actor: Actor, key: str, request: bytes) -> Claim | Answer:
    """Take a key for a request, or find what the same request was answered before.

    Raises ReusedKeyError, AtWorkError and BrokenOffError.
    """
    secret = await at.kept(_Held, _Held).get(at)
    who = (str(actor.user_id).encode(), actor.name.encode(), key.encode())
    claim = Claim(secret.of("key", *who), secret.of("answer", *who))
    request_hmac = secret.of("request", claim.key_hmac, request)
    kept = timedelta(seconds=at.places.settings.gateway.idempotency_seconds)
    async with at.transaction() as session:
        await idempotency_keys.clear(session, kept)
        if await idempotency_keys.claim(session, claim.key_hmac, request_hmac):
            return claim
        known = await idempotency_keys.get(session, claim.key_hmac, AT_WORK)
    return _said_before(known, claim, request_hmac)


async def finish(at: Connections, claim: Claim, answer: Answer) -> None:
    """Keep an answer for whoever sends the same again."""
    plain = json.dumps(
        {
            "status": answer.status,
            "headers": dict(answer.headers),
            "body": base64.b64encode(answer.body).decode(),
        }
    ).encode()
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + AESGCM(claim.sealing_key).encrypt(nonce, plain, claim.key_hmac)
    async with at.transaction() as session:
        await idempotency_keys.answer(session, claim.key_hmac, sealed)


async def release(at: Connections, claim: Claim) -> None:
    """Let the key be used again."""
    async with at.transaction() as session:
        await idempotency_keys.release(session, claim.key_hmac)


def _said_before(known: Known | None, claim: Claim, request_hmac: bytes) -> Answer:
    if known is None:
        raise AtWorkError
    if not hmac.compare_digest(known.request_hmac, request_hmac):
        raise ReusedKeyError
    if known.answer is None:
        raise AtWorkError if known.recent else BrokenOffError
    nonce, sealed = known.answer[:NONCE_BYTES], known.answer[NONCE_BYTES:]
    said = json.loads(AESGCM(claim.sealing_key).decrypt(nonce, sealed, claim.key_hmac))
    return Answer(said["status"], said["headers"], base64.b64decode(said["body"]))


def _secret(at: Connections) -> _Secret:
    try:
        return _read(at)
    except Missing:
        fresh = base64.b64encode(os.urandom(32)).decode()
    try:
        at.kv.write(KEY_PATH, {"secret": fresh}, 0)
    except Conflict:
        return _read(at)
    return _Secret(base64.b64decode(fresh))


def _read(at: Connections) -> _Secret:
    return _Secret(base64.b64decode(at.kv.read(KEY_PATH).data["secret"]))
