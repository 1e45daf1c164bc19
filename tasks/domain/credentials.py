"""Credentials of bots, apps and outside services: where each lies in the vault."""

from datetime import datetime
from typing import Literal
from uuid import UUID

State = Literal["in use", "ended", "needs login", "ends soon", "on its way"]

# The key in the vault's transit engine that new tokens are sealed to before they go anywhere else.
ESCROW_KEY = "token-escrow"
# What only the refresher reads and writes: the key of its fingerprints, and the probe that a write works.
FINGERPRINT_PATH = "keys/fingerprint"
PROBE_PATH = "keys/probe"


def access_path(bot_id: UUID) -> str:
    """Where a bot's access token lies in the KV engine."""
    return f"bots/{bot_id}/access"


def refresh_path(bot_id: UUID) -> str:
    """Where a bot's refresh token lies in the KV engine."""
    return f"bots/{bot_id}/refresh"


def client_path(app_id: UUID) -> str:
    """Where an app's client id and secret lie in the KV engine."""
    return f"apps/{app_id}/client"


def next_client_path(app_id: UUID) -> str:
    """Where the secret that an app will use next waits for its test."""
    return f"apps/{app_id}/next"


def service_path(name: str) -> str:
    """Where the key of an outside service lies in the KV engine."""
    return f"services/{name}"


def state_of(kind: str, bot_state: str | None, expires_at: datetime | None, now: datetime) -> State:
    """How a credential of the inventory stands; what X takes no more is not in use, whenever it would have ended."""
    if bot_state == "needs_login" and kind.startswith("x_user_"):
        return "needs login"
    return "ended" if expires_at is not None and expires_at <= now else "in use"
