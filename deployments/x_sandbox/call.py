"""One request to this X, as its endpoints see it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployments.x_sandbox.accounts import Account
from deployments.x_sandbox.answers import Answer
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.settings import EndpointName, PriceName
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.tokens import Access

TOKEN_PREFIX_LENGTH = 12
APP_ONLY, OAUTH1, OAUTH2 = "OAuth 2.0 Application-Only", "OAuth 1.0a User Context", "OAuth 2.0 User Context"
"""X's words for the three ways to say who calls."""


@dataclass(slots=True)
class Call:
    """A request with its caller; an endpoint leaves in `x_post_id` which post it made or took away.

    In `bought` it leaves a price and the things that are paid for by it, each once a day; a price without things is
    paid for every request.

    `signer` is the OAuth 1.0a token whose signature was found good at the first look, because its nonce counts once.
    """

    endpoint: EndpointName
    path: str
    path_id: str
    host: str
    query: bytes
    authorization: str
    content_type: str
    traceparent: str | None
    first_byte_at: float
    body: bytes = b""
    access: Access | None = None
    signer: str | None = None
    account: Account | None = None
    x_post_id: str | None = None
    bought: tuple[PriceName, list[str]] | None = None

    @property
    def caller(self) -> tuple[Access, Account]:
        """Token and account of a call whose endpoint asks for a token."""
        if self.access is None or self.account is None:
            raise RuntimeError(f"{self.endpoint} was reached without a token")
        return self.access, self.account

    def trace(self) -> dict[str, Any]:
        """What every ledger entry says about the request that caused it."""
        entry: dict[str, Any] = {"first_byte_at": iso(self.first_byte_at), "traceparent": self.traceparent}
        if self.account:
            entry |= {"account_id": self.account.id, "username": self.account.username}
        if self.access:
            entry["client_id"] = self.access.family.client_id
            entry["token_sha256"] = self.access.sha256[:TOKEN_PREFIX_LENGTH]
        return entry


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing that X offers.

    `answer` runs without a pause between its check and its ledger entry; `scopes` is None where no bearer token is
    asked for; `whose` then names the account that a fault may be aimed at. `app_only` says that an app may ask without
    acting for an account, `oauth1` that a request may be signed instead, `oauth2` that a user token is taken. What is
    `free` is answered without credits too; what is `capped` is not answered beyond the monthly cap.
    """

    name: EndpointName
    answer: Callable[[Sandbox, Call], Answer]
    scopes: frozenset[str] | None = None
    app_only: bool = False
    oauth1: bool = True
    oauth2: bool = True
    free: bool = False
    capped: bool = False
    whose: Callable[[Sandbox, Call], Account | None] | None = None

    @property
    def ways_in(self) -> list[str]:
        """In X's words, the ways in which a caller may say who it is."""
        ways = ((APP_ONLY, self.app_only), (OAUTH1, self.oauth1), (OAUTH2, self.oauth2))
        return [way for way, open_ in ways if open_]
