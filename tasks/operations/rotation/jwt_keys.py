"""Keys that sign access tokens: the next one is shown to those who verify before it signs, and the one before goes once
nothing that it signed is good any more."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from blocks.vault.errors import Missing
from config.settings import JwtKeys as JwtKeysSettings
from config.settings import Rotation as RotationSettings
from tasks.connections import Connections
from tasks.operations import signing_keys
from tasks.operations.rotation.kind import Facts, NotYet, Subject, TestFailedError
from tasks.operations.signing_keys import ALGORITHM, KEYS_PATH
from tasks.store import base
from tasks.store.rotations import Version

SUBJECT = "gateway"
# What is still to be waited for within one run, in seconds.
WAITED = 5.0


class JwtKeys:
    """The recipe's steps for the one JWK set of this installation."""

    name = "jwt_keys"

    def rules(self, settings: RotationSettings) -> JwtKeysSettings:
        """Its section of the settings."""
        return settings.jwt_keys

    async def subjects(self, at: Connections) -> Sequence[Subject]:
        """The set, once a gateway has made its first key."""
        try:
            keys, _ = await asyncio.to_thread(signing_keys.read, at)
            since = (await asyncio.to_thread(at.kv.metadata, KEYS_PATH)).created_at
        except Missing:
            return []
        return [Subject(SUBJECT, since, "every sign-in to the API and the console", {"kid": keys.keys[0].kid})]

    async def create(self, at: Connections, version: Version) -> Facts:
        """Put a key in at the end: everybody verifies by it, nobody signs by it."""
        kid = version.id.hex[-16:]

        def added(keys: KeySet) -> KeySet:
            return keys if _place(keys, kid) is not None else KeySet([*keys.keys, signing_keys.new_key(kid)])

        await asyncio.to_thread(_change, at, version, "create", added)
        return {"kid": kid}

    async def set(self, at: Connections, version: Version) -> None:
        """Wait until whoever verifies our tokens has read the set again."""
        publish = timedelta(seconds=self.rules(at.places.settings.rotation).publish_seconds)
        async with at.transaction() as session:
            left = (version.stepped_at + publish - await base.now(session)).total_seconds()
        if left > WAITED:
            raise NotYet(f"the new key is shown for {left:.0f} s more before it signs")
        await asyncio.sleep(max(left, 0))

    async def test(self, at: Connections, version: Version) -> None:
        """Sign by it as it lies in the vault, and verify by what is public."""
        keys, _ = await asyncio.to_thread(signing_keys.read, at)
        place = _place(keys, version.facts["kid"])
        if place is None:
            raise TestFailedError("the new key is not in the set any more")
        key = keys.keys[place]
        public = KeySet.import_key_set(keys.as_dict(private=False))
        token = jwt.encode({"alg": ALGORITHM, "kid": key.kid}, {"sub": "test"}, key, algorithms=[ALGORITHM])
        try:
            jwt.decode(token, public, algorithms=[ALGORITHM])
        except (JoseError, ValueError) as error:
            raise TestFailedError(f"what the new key signs does not verify ({type(error).__name__})") from None

    async def finish(self, at: Connections, version: Version) -> None:
        """Move it to the front: it signs from here on, and the one before verifies what it has signed."""
        kid = version.facts["kid"]
        await asyncio.to_thread(
            _change, at, version, "finish", lambda keys: KeySet(sorted(keys.keys, key=lambda key: key.kid != kid))
        )

    async def remove(self, at: Connections, version: Version) -> None:
        """Take it out: what it has signed is void."""
        kid = version.facts.get("kid", version.id.hex[-16:])
        life = timedelta(seconds=at.places.settings.gateway.access_token_seconds)
        async with at.transaction() as session:
            left = (version.stepped_at + life - await base.now(session)).total_seconds()
        if version.state == "previous" and left > 0:
            raise NotYet(f"tokens that it has signed are good for {left:.0f} s more")
        await asyncio.to_thread(
            _change, at, version, "remove", lambda keys: KeySet([key for key in keys.keys if key.kid != kid])
        )


def _change(at: Connections, version: Version, step: str, change: Callable[[KeySet], KeySet]) -> None:
    """Write what `change` makes of the set, unless it is so; somebody else's write in between is a Conflict."""
    keys, number = signing_keys.read(at)
    wanted = change(keys)
    if [key.kid for key in wanted.keys] != [key.kid for key in keys.keys]:
        at.kv.write_once(KEYS_PATH, signing_keys.stored(wanted), number, f"{version.id}/{step}")


def _place(keys: KeySet, kid: str) -> int | None:
    return next((place for place, key in enumerate(keys.keys) if key.kid == kid), None)
