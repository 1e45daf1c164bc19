"""Our own long-running programs as children: gateway, clerk, X sandbox."""

import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from config.places import Places
from config.settings import LOOPBACK
from deployments.local import environment, layout
from deployments.local.child import Child

PROBE_SECONDS = 2.0
FOOTING_SECONDS = 2.0


def gateway(places: Places) -> Child:
    """Sign-in, REST API and console."""
    return Child(
        name="gateway",
        command=[sys.executable, "-m", "deployments.gateway"],
        address=places.gateway,
        ready=lambda: _gateway_refusal(places),
        environment=environment.own(places, "gateway"),
    )


def clerk(places: Places) -> Child:
    """Sweeps overdue attempts and seals the audit; it has no address, so going on running is all that can be asked."""
    footing = _Footing()
    return Child(
        name="clerk",
        command=[sys.executable, "-m", "deployments.local.clerk"],
        address="",
        ready=footing.refusal,
        environment=environment.own(places, "sealer"),
        prepare=footing.begin,
    )


def x_sandbox(places: Places) -> Child:
    """X as far as we use it, with faults to order."""
    token = sandbox_token_file(places)
    return Child(
        name="x-sandbox",
        command=[
            *(sys.executable, "-m", "deployments.x_sandbox", "--host", LOOPBACK),
            *("--port", str(places.settings.x.sandbox_port)),
            *("--folder", str(places.home / "x_sandbox")),
            *("--control-token-file", str(token)),
        ],
        address=places.x,
        ready=lambda: refusal(places.x),
        environment=environment.own(places),
        prepare=lambda: _make_token(token),
    )


def sandbox_token_file(places: Places) -> Path:
    """0600 file with the token that opens the sandbox's control plane."""
    return places.secrets / "x-sandbox.token"


def _gateway_refusal(places: Places) -> str | None:
    """None if our own gateway serves: two stacks that start at once can take the same free port for theirs."""
    # Not its front page: that answers before the gateway has reached the database and made its keys.
    address = f"{places.gateway}/api/v1/health"
    try:
        answer = httpx.get(address, timeout=PROBE_SECONDS, trust_env=False, verify=places.gateway_trust())
        if not answer.is_success:
            return f"HTTP {answer.status_code}"
        ours = answer.json().get("stack") == places.stack
    except (httpx.HTTPError, ValueError) as error:
        return str(error) or type(error).__name__
    return None if ours else f"another stack answers at {places.gateway}: set gateway.port, or stop the other one"


def refusal(address: str) -> str | None:
    """None if something at the address speaks HTTP and is not in trouble."""
    try:
        answer = httpx.get(address, timeout=PROBE_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return f"HTTP {answer.status_code}" if answer.is_server_error else None


def _make_token(path: Path) -> None:
    if not path.exists():
        layout.write_private(path, secrets.token_urlsafe(32))


@dataclass
class _Footing:
    """A program that cannot run at all ends within its first moments."""

    began: float = float("-inf")

    def begin(self) -> None:
        self.began = time.monotonic()

    def refusal(self) -> str | None:
        return None if time.monotonic() - self.began > FOOTING_SECONDS else "it has only just started"
