"""Everything this X knows; it changes only by ledger entries, so that a restart can replay them."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from deployments.x_sandbox.accounts import Account, Accounts, XApps
from deployments.x_sandbox.clock import Clock, Snowflakes, from_iso, iso
from deployments.x_sandbox.faults import Faults
from deployments.x_sandbox.ledger import Entry, Ledger
from deployments.x_sandbox.limits import Limits
from deployments.x_sandbox.media_store import MediaStore
from deployments.x_sandbox.money import Money
from deployments.x_sandbox.post_store import Posts
from deployments.x_sandbox.settings import EndpointName, Settings
from deployments.x_sandbox.tokens import Nonces, Tokens

LEDGER_NAME = "ledger.jsonl"
KEY_NAME = "client-secrets.key"
COUNTED: dict[str, EndpointName] = {
    "create": "POST /2/tweets",
    "refuse": "POST /2/tweets",
    "delete": "DELETE /2/tweets/{id}",
}
"""Entries whose request had used up a part of a limit, so that a restart gives none of it back."""


class Sandbox:
    """The state of one X, in one folder. Raises LedgerBusy when another process has the folder."""

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.faults = Faults()
        self.apps = XApps(secret_file(folder / KEY_NAME).encode())
        self._forget_everything()
        self.ledger = Ledger(folder / LEDGER_NAME, fresh)
        for entry in self.ledger.replay():
            self._apply(entry)
            self._count_again(entry)

    def record(self, kind: str, fields: Entry) -> None:
        """Write a ledger entry, then let it change the state. Raises OSError, and then nothing happened."""
        self._apply(self.ledger.append(kind, fields))

    def named_account(self, username: str, name: str | None = None, **profile: Any) -> Account:
        """The account of this username, made or changed to match what is said of it."""
        before = self.accounts.find(username)
        now = self.clock.now()
        wanted: dict[str, Any] = {
            "account_id": before.id if before else str(self.ids.make(now)),
            "username": before.username if before else username,
            "name": name or (before.name if before else username),
            "description": before.description if before else "",
            "created_at": iso(before.created_at if before else now),
            "protected": before.protected if before else False,
            "suspended": before.suspended if before else False,
        } | {field: value for field, value in profile.items() if value is not None}
        self.record("account", wanted)
        return self.accounts.by_id[wanted["account_id"]]

    def _forget_everything(self) -> None:
        self.settings = Settings()
        self.chance = _chance(self.settings.seed)
        self.clock = Clock()
        self.ids = Snowflakes()  # otherwise ids made in a played future would stay ahead of the clock for good
        self.accounts = Accounts()
        self.apps.clear()
        self.tokens = Tokens()
        self.nonces = Nonces()
        self._forget_posts()

    def _forget_posts(self) -> None:
        self.posts = Posts()
        self.media = MediaStore()
        self.limits = Limits()
        self.money = Money()
        self.faults.clear()

    def _apply(self, entry: Entry) -> None:
        if change := self._changes.get(entry["kind"]):
            change(self, entry)
        if "price" in entry:
            self.money.apply(entry)

    def _apply_settings(self, entry: Entry) -> None:
        before, self.settings = self.settings, Settings.model_validate(entry["settings"])
        if self.settings.seed != before.seed:
            self.chance = _chance(self.settings.seed)

    def _apply_reset(self, entry: Entry) -> None:
        if entry["keep_accounts"]:
            self._forget_posts()
        else:
            self._forget_everything()

    def _apply_account(self, entry: Entry) -> None:
        self.ids.seen(int(entry["account_id"]))
        self.accounts.apply(entry)

    def _apply_create(self, entry: Entry) -> None:
        self.ids.seen(int(entry["x_post_id"]))
        self.posts.apply_create(entry)

    def _apply_media(self, entry: Entry) -> None:
        self.ids.seen(int(entry["media_id"]))
        self.media.apply(entry)

    _changes: dict[str, Callable[["Sandbox", Entry], None]] = {
        "settings": _apply_settings,
        "clock": lambda self, entry: self.clock.set(from_iso(entry["wall"]), from_iso(entry["now"]), entry["speed"]),
        "credits": lambda self, entry: self.money.apply_credits(entry),
        "reset": _apply_reset,
        "app": lambda self, entry: self.apps.apply(entry),
        "account": _apply_account,
        "consent": lambda self, entry: self.tokens.apply_consent(entry),
        "token": lambda self, entry: self.tokens.apply(entry),
        "create": _apply_create,
        "media": _apply_media,
        "delete": lambda self, entry: self.posts.apply_delete(entry),
    }

    def _count_again(self, entry: Entry) -> None:
        endpoint = COUNTED.get(entry["kind"])
        limit = self.settings.limits.get(endpoint) if endpoint else None
        if endpoint and limit and entry.get("counted", True):
            at = from_iso(entry["accepted_at"] if "accepted_at" in entry else entry["at"])
            self.limits.count(endpoint, limit, entry["account_id"], entry["client_id"], at)


def _chance(seed: int | None) -> Random:
    return SystemRandom() if seed is None else Random(seed)  # noqa: S311  # nosec B311: it plays, it keeps no secret


def secret_file(path: Path) -> str:
    """The secret in a file, made up and written for its owner alone when there is no such file yet."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(file, "w") as out:
        secret = secrets.token_urlsafe(32)
        out.write(secret + "\n")
    return secret
