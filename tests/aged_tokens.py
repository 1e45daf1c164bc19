"""Tokens of a running stack that near their end, as far as the vault and the database say."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from blocks.vault.client import Vault
from blocks.vault.kv import Kv
from blocks.vault.transit import Transit
from tasks.domain.credentials import access_path
from tests.posting_stack import PostingStack
from tests.running_stack import eventually

ROTATION = "rotate-credentials/every-5-minutes"
LEFT = timedelta(minutes=8)


@contextmanager
def keys(stack: PostingStack) -> Iterator[tuple[Kv, Transit]]:
    """The vault as the refresher sees it."""
    places = stack.running.places
    settings = places.settings.vault
    with Vault.for_role(places, "keys") as vault:
        yield Kv(vault, settings.kv_mount, settings.readers), Transit.of(vault, settings)


def bot_row(stack: PostingStack, handle: str) -> dict[str, Any]:
    """Id and state of a bot."""
    [row] = stack.sql("SELECT id, state, x_app_id FROM bots WHERE handle = %s", handle)
    return row


def near_the_end(stack: PostingStack, handle: str) -> None:
    """A bot's access token ends in eight minutes; X lets it live on, so that nothing else of the stack feels it."""
    path = access_path(bot_row(stack, handle)["id"])
    ends_at = datetime.now(UTC) + LEFT
    issued_at = ends_at - timedelta(hours=2)
    with keys(stack) as (kv, _):
        held = kv.read(path)
        data = {**held.data, "issued_at": issued_at.isoformat(), "expires_at": ends_at.isoformat()}
        version = kv.write(path, data, held.version)
    stack.sql(
        "UPDATE credentials SET version = %s, issued_at = %s, expires_at = %s WHERE vault_path = %s",
        version,
        issued_at,
        ends_at,
        path,
    )


def refreshes(stack: PostingStack, handle: str) -> list[str]:
    """What became of the refreshes of a bot that X was asked for, ever."""
    found: list[str] = []
    after = 0
    while (page := stack.x("GET", f"/ledger?after={after}&kinds=token"))["entries"]:
        found += [
            entry["result"]
            for entry in page["entries"]
            if entry["grant"] == "refresh_token" and (entry.get("username") or "").lower() == handle.lower()
        ]
        after = page["next_after"]
    return found


def rotate(stack: PostingStack, flow_run_id: str) -> None:
    """Wait until this run of the deployment has ended well."""
    eventually(lambda: stack.running.run(flow_run_id)["state_type"] == "COMPLETED", 150)
