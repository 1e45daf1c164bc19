"""Authorization codes, access tokens and the families that refresh tokens come from; hashes only, never a token."""

import hashlib
import itertools
import math
from dataclasses import dataclass, field

from deployments.x_sandbox.clock import from_iso
from deployments.x_sandbox.ledger import Entry

SWEPT = 10
"""Oldest nonces looked at with each new one, so that forgetting keeps pace and costs nothing noticeable."""


def sha256(token: str) -> str:
    """What the sandbox keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(slots=True)
class Family:
    """All tokens that grew from one consent, or the one of an app that acts for nobody; dead means none works."""

    id: str
    account_id: str | None
    client_id: str
    scopes: list[str]
    alive: bool = True


@dataclass(slots=True)
class Access:
    """An access token that was handed out."""

    family: Family
    expires_at: float
    sha256: str
    scopes: frozenset[str]


@dataclass(slots=True)
class Refresh:
    """A refresh token that was handed out; a second use is theft to X."""

    family: Family
    used: bool = False


@dataclass(slots=True)
class Code:
    """An authorization code between the consent page and the token call."""

    account_id: str
    client_id: str
    redirect_uri: str
    scopes: list[str]
    challenge: str
    method: str
    expires_at: float
    used: bool = False


class Nonces:
    """The nonces of signed requests, for as long as their timestamps would be taken; a restart forgets them."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str, str], float] = {}

    def spend(self, nonce: tuple[str, str, str], now: float, seconds: float) -> bool:
        """Whether this nonce was not spent before; from now on it is."""
        for old in [each for each, until in itertools.islice(self._until.items(), SWEPT) if until <= now]:
            del self._until[old]
        if nonce in self._until:
            return False
        self._until[nonce] = now + seconds
        return True


@dataclass(slots=True)
class Tokens:
    """Everything that was handed out, by hash."""

    families: dict[str, Family] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    refreshes: dict[str, Refresh] = field(default_factory=dict)
    _accesses: dict[str, Access] = field(default_factory=dict)
    _oauth1: dict[str, Access] = field(default_factory=dict)

    def access(self, token: str, now: float) -> Access | None:
        """What a bearer token stands for, or None when it is unknown, expired, revoked or its family is dead."""
        found = self._accesses.get(sha256(token))
        if found is None or found.expires_at <= now or not found.family.alive:
            return None
        return found

    def oauth1(self, token: str) -> Access | None:
        """What an OAuth 1.0a token stands for; it never expires, but it may be revoked."""
        found = self._oauth1.get(sha256(token))
        return found if found and found.family.alive else None

    def family_of(self, token: str) -> Family | None:
        """The family of an access or refresh token that was ever handed out, dead or alive."""
        digest = sha256(token)
        found = self.refreshes.get(digest) or self._accesses.get(digest)
        return found.family if found else None

    def living(self, account_id: str) -> list[Family]:
        """The families that can still act for an account."""
        return [each for each in self.families.values() if each.alive and each.account_id == account_id]

    def apply_consent(self, entry: Entry) -> None:
        """Keep the code of a ledger entry; a refused consent has none."""
        if "code_sha256" in entry:
            self.codes[entry["code_sha256"]] = Code(
                account_id=entry["account_id"],
                client_id=entry["client_id"],
                redirect_uri=entry["redirect_uri"],
                scopes=entry["scopes"],
                challenge=entry["code_challenge"],
                method=entry["code_challenge_method"],
                expires_at=from_iso(entry["expires_at"]),
            )

    def apply(self, entry: Entry) -> None:
        """Follow a token call of the ledger: spend what it used, add what it handed out, bury what it killed."""
        if code := self.codes.get(entry.get("used_code_sha256", "")):
            code.used = True
        if refresh := self.refreshes.get(entry.get("used_refresh_sha256", "")):
            refresh.used = True
        if entry["result"] == "granted":
            self._add(entry)
        elif entry["result"] == "family_killed":
            self.families[entry["family"]].alive = False
        elif entry["result"] == "access_revoked":
            self._accesses.pop(entry["access_sha256"], None)

    def _add(self, entry: Entry) -> None:
        family = self.families.setdefault(
            entry["family"],
            Family(entry["family"], entry["account_id"], entry["client_id"], entry["scopes"]),
        )
        expires_at = from_iso(entry["expires_at"]) if "expires_at" in entry else math.inf
        access = Access(family, expires_at, entry["access_sha256"], frozenset(entry["scopes"]))
        (self._oauth1 if entry["grant"] == "oauth1" else self._accesses)[access.sha256] = access
        if "refresh_sha256" in entry:
            self.refreshes[entry["refresh_sha256"]] = Refresh(family)
