"""The accounts on this X and the apps that may ask for them."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from deployments.x_sandbox.clock import from_iso
from deployments.x_sandbox.ledger import Entry

CONSUMER_KEY_LENGTH = 25


@dataclass(slots=True)
class Account:
    """One account as X shows it."""

    id: str
    username: str
    name: str
    description: str
    created_at: float
    protected: bool = False
    suspended: bool = False

    def shows_posts_to(self, viewer_id: str | None) -> bool:
        """Whether this account may read them; nobody follows anybody here, so protected means for oneself alone."""
        return not self.suspended and (not self.protected or self.id == viewer_id)


@dataclass(slots=True)
class XApp:
    """One developer app; a public one has no secret and proves itself by PKCE alone."""

    client_id: str
    name: str
    redirect_uris: list[str]
    confidential: bool
    generation: int = 0
    old_secret_works: bool = False


class Accounts:
    """Accounts by id and by username; usernames differ by more than case."""

    def __init__(self) -> None:
        self.by_id: dict[str, Account] = {}
        self._by_username: dict[str, Account] = {}

    def find(self, username: str) -> Account | None:
        """The account of a username in any case."""
        return self._by_username.get(username.lower())

    def apply(self, entry: Entry) -> None:
        """Make or change the account of a ledger entry."""
        account = Account(
            id=entry["account_id"],
            username=entry["username"],
            name=entry["name"],
            description=entry["description"],
            created_at=from_iso(entry["created_at"]),
            protected=entry.get("protected", False),
            suspended=entry.get("suspended", False),
        )
        self.by_id[account.id] = account
        self._by_username[account.username.lower()] = account


class XApps:
    """Apps by client id and by name."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.by_client_id: dict[str, XApp] = {}
        self._by_name: dict[str, XApp] = {}
        self._by_consumer_key: dict[str, XApp] = {}

    def clear(self) -> None:
        """Forget every app; the key stays."""
        self.by_client_id.clear()
        self._by_name.clear()
        self._by_consumer_key.clear()

    def named(self, name: str) -> XApp | None:
        """The app of this name."""
        return self._by_name.get(name)

    def secret(self, client_id: str) -> str:
        """The client secret, made from the sandbox's key so that it is stored nowhere."""
        app = self.by_client_id.get(client_id)
        return self._secret(client_id, app.generation if app else 0)

    def of_consumer(self, consumer_key: str) -> XApp | None:
        """The app that OAuth 1.0a knows by this key."""
        return self._by_consumer_key.get(consumer_key)

    def consumer_key(self, app: XApp) -> str:
        """The app's name in OAuth 1.0a."""
        return self._derived(f"consumer key {app.client_id}")[:CONSUMER_KEY_LENGTH]

    def consumer_secret(self, app: XApp) -> str:
        """The app's half of an OAuth 1.0a signing key, made like the client secret."""
        return self._derived(f"consumer secret {app.client_id}")

    def bearer(self, app: XApp) -> str:
        """The token with which the app reads for nobody; X gives the same one each time it is asked."""
        return self._derived(f"bearer {app.client_id}")

    def token_secret(self, token: str) -> str:
        """A token's half of an OAuth 1.0a signing key, made like the client secret."""
        return self._derived(f"token secret {token}")

    def proves(self, client_id: str, secret: str) -> bool:
        """Whether this is the secret of a known confidential app."""
        app = self.by_client_id.get(client_id)
        if app is None or not app.confidential:
            return False
        good = [app.generation, app.generation - 1] if app.old_secret_works else [app.generation]
        return any(hmac.compare_digest(self._secret(client_id, number).encode(), secret.encode()) for number in good)

    def apply(self, entry: Entry) -> None:
        """Make or change the app of a ledger entry."""
        app = XApp(
            entry["client_id"],
            entry["name"],
            entry["redirect_uris"],
            entry["confidential"],
            entry.get("generation", 0),
            entry.get("old_secret_works", False),
        )
        self.by_client_id[app.client_id] = app
        self._by_name[app.name] = app
        self._by_consumer_key[self.consumer_key(app)] = app

    def _secret(self, client_id: str, generation: int) -> str:
        return self._derived(f"{client_id} {generation}" if generation else client_id)

    def _derived(self, what: str) -> str:
        digest = hmac.digest(self._key, what.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
