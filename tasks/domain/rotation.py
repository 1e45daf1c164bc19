"""When a token is refreshed, and what is left to do after a refresh that was interrupted."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

# How often the deployment looks; what falls due between two looks waits for the second.
LOOKS_EVERY = timedelta(minutes=5)
# A token this close to its end is not used any more: the request could arrive after it.
SPARE = timedelta(seconds=30)

Unknown = Literal["replay_once", "needs_login"]
Step = Literal["serve", "refresh", "finish", "close", "set_aside", "wait", "replay", "ask_for_login"]


def refresh_at(
    bot_id: UUID, issued_at: datetime, expires_at: datetime, earliest: timedelta, latest: timedelta
) -> datetime:
    """When a bot's token falls due: spread over the bots, the same for one bot at every look.

    It is `earliest` to `latest` before the end once it is looked at, which may be LOOKS_EVERY later. A token that
    lives but a short time is not due in the first half of it.
    """
    most = min(earliest, (expires_at - issued_at) / 2)
    least = min(latest + LOOKS_EVERY, most)
    share = int.from_bytes(hashlib.sha256(bot_id.bytes).digest()[:6], "big") / 2**48
    return expires_at - most + (most - least) * share


@dataclass(frozen=True)
class Held:
    """What the vault holds of a bot: the version and writer of its refresh token, and how its access token stands.

    `spent`: X has had this refresh token, and that matter is closed.
    """

    version: int
    written_by: str | None
    due: bool
    ended: bool
    spent: bool


@dataclass(frozen=True)
class Left:
    """An attempt without a known end.

    `escrowed`: X's answer lies sealed in Postgres. `settled`: X has decided by now. `over`: its sender sends no more,
    by its own word or by its proven death; `provable`: its death could be proven from here.
    """

    attempt_id: str
    from_version: int
    replay: bool
    escrowed: bool
    settled: bool
    over: bool
    provable: bool


def next_step(held: Held, left: Left | None, unknown: Unknown) -> Step:
    """What may be done now for one bot; nothing here sends a token of unknown fate twice by accident.

    serve        the access token is fresh
    refresh      send the refresh token, which nobody ever sent
    finish       write the answer from the escrow to the vault
    close        the vault has the answer already: say so
    set_aside    the vault holds a newer token of somebody else's: what this attempt got is of no use
    wait         the access token serves on, or X or the first sender may not be through with it
    replay       send the refresh token a second and last time, deliberately
    ask_for_login  no store holds a token that works: only the account's owner can help
    """
    if left is None:
        if not held.due:
            return "serve"
        if not held.spent:
            return "refresh"
        return "ask_for_login" if held.ended else "wait"
    if held.written_by == left.attempt_id:
        return "finish" if left.escrowed else "close"
    if held.version > left.from_version:
        return "set_aside"
    if left.escrowed:
        return "finish"
    if not held.ended or not left.settled or (not left.over and left.provable):
        return "wait"
    if left.over and not left.replay and unknown == "replay_once":
        return "replay"
    return "ask_for_login"
