"""Credentials of bots and apps: where each lies in the vault, and what a bot signs its requests with."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import SecretStr

# The key in the vault's transit engine that new tokens are sealed to before they go anywhere else.
ESCROW_KEY = "token-escrow"
# What only the refresher reads and writes: the key of its fingerprints, and the probe that a write works.
FINGERPRINT_PATH = "keys/fingerprint"
PROBE_PATH = "keys/probe"


@dataclass(frozen=True)
class AccessToken:
    """What a bot signs its requests to X with."""

    value: SecretStr
    expires_at: datetime


def access_path(bot_id: UUID) -> str:
    """Where a bot's access token lies in the KV engine."""
    return f"bots/{bot_id}/access"


def refresh_path(bot_id: UUID) -> str:
    """Where a bot's refresh token lies in the KV engine."""
    return f"bots/{bot_id}/refresh"


def client_path(app_id: UUID) -> str:
    """Where an app's client id and secret lie in the KV engine."""
    return f"apps/{app_id}/client"
