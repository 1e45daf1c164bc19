"""What the control plane and the page for people both do to an X that runs."""

import time
from typing import Any

from deployments.x_sandbox.accounts import Account, XApp
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.control_bodies import NewTime
from deployments.x_sandbox.oauth import kill
from deployments.x_sandbox.state import Sandbox

FIRST_INSTANT, LAST_INSTANT = 1_300_000_000, 4_102_444_800
"""From a little after X's first id to the year 2100."""


def set_clock(sandbox: Sandbox, wanted: NewTime) -> None:
    """Move the clock or change its speed. Raises ValueError where the instant is out of bounds."""
    wall = time.time()
    before = now = sandbox.clock.at(wall)
    if wanted.now is not None:
        now = wanted.now.timestamp()
    elif wanted.ahead_seconds is not None:
        now = wall + wanted.ahead_seconds
    elif wanted.forward_seconds is not None:
        now += wanted.forward_seconds
    if not FIRST_INSTANT <= now <= LAST_INSTANT:
        raise ValueError(f"the clock goes from {iso(FIRST_INSTANT)} to {iso(LAST_INSTANT)}")
    speed = sandbox.clock.speed if wanted.speed is None else wanted.speed
    sandbox.record("clock", {"at": iso(before), "wall": iso(wall), "now": iso(now), "speed": speed})


def end_tokens(sandbox: Sandbox, account: Account) -> int:
    """End every consent of an account; how many there were."""
    families = sandbox.tokens.living(account.id)
    for family in families:
        kill(sandbox, None, "control", family)
    return len(families)


def renew_secret(sandbox: Sandbox, app: XApp, old_works: bool) -> dict[str, Any]:
    """Give an app another client secret; unless `old_works` the one before and every token of the app end."""
    entry = {"client_id": app.client_id, "name": app.name, "redirect_uris": app.redirect_uris, "confidential": True}
    sandbox.record("app", {**entry, "generation": app.generation + 1, "old_secret_works": old_works})
    families = [] if old_works else [one for one in sandbox.tokens.families.values() if one.client_id == app.client_id]
    living = [family for family in families if family.alive]
    for family in living:
        kill(sandbox, None, "control", family)
    secret = sandbox.apps.secret(app.client_id)
    return {"client_id": app.client_id, "client_secret": secret, "old_works": old_works, "families": len(living)}
