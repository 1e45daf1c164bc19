"""What the control plane and the page for people both do to an X that runs."""

import time

from deployments.x_sandbox.accounts import Account
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
