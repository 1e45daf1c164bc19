"""A whole stack for tests, started and stopped as people do it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from config import loading
from config.places import Places
from deployments.local import board, prefect_api, registration, stack
from deployments.local.processes import Process
from tests.postgres_process import free_port

SMALL_FLOWS = Path(__file__).parent / "stack" / "small_flows.yaml"
# As in real life, but for what a post without an answer waits for before it is called unknown, and for what one
# client may ask.
SETTINGS = {
    "VIVESPHERE_X__DEADLINE_SECONDS": "3",
    "VIVESPHERE_POSTING__GIVE_UP_SECONDS": "4",
    # What is in doubt is decided within seconds; the sandbox of these tests keeps to it.
    "VIVESPHERE_X__SETTLE_SECONDS": "1",
    "VIVESPHERE_X__VISIBLE_SECONDS": "2",
    "VIVESPHERE_RECONCILIATION__APART_SECONDS": "0.3",
    "VIVESPHERE_POSTING__CATCH_UP_GAP_SECONDS": "1",
    # Rotations come to their end within a test.
    "VIVESPHERE_POSTGRES__LOGIN_SECONDS": "0.5",
    "VIVESPHERE_ROTATION__JWT_KEYS__PUBLISH_SECONDS": "2",
    "VIVESPHERE_ROTATION__DATA_KEYS__GRACE_SECONDS": "2",
    "VIVESPHERE_ROTATION__DATABASE_LOGINS__GRACE_SECONDS": "5",
    # Alarms come within a test, and go to its own receiver.
    "VIVESPHERE_NOTIFICATIONS__PRIVATE_HOSTS": "127.0.0.1",
    "VIVESPHERE_NOTIFICATIONS__LOOK_SECONDS": "1",
    "VIVESPHERE_NOTIFICATIONS__RETRY_SECONDS": "0.2",
    # Thousands of refusals are asked for in one test.
    "VIVESPHERE_GATEWAY__CHANGES_PER_MINUTE": "1000000",
    "VIVESPHERE_GATEWAY__READS_PER_MINUTE": "1000000",
}
T = TypeVar("T")


def eventually(ask: Callable[[], T | None], seconds: float = 90.0, look_seconds: float = 0.05) -> T:
    """What `ask` answers once it answers; a test waits for a condition, never for a time."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(look_seconds)
    return found


class RunningStack:
    """The stack in a home of its own, started and stopped as people do it."""

    def __init__(self, home: Path, settings: Mapping[str, str] = SETTINGS) -> None:
        self.home = home
        # Not the port that `up` prefers, which a stack of the person at this machine may have.
        self._settings = {"VIVESPHERE_GATEWAY__PORT": str(free_port()), **settings}
        self.said: list[str] = []
        self._deployed = False

    @property
    def places(self) -> Places:
        """As the stack's own processes see them."""
        loading.load.cache_clear()
        return Places(loading.settings())

    @contextmanager
    def at_home(self) -> Iterator[None]:
        """This process, and every command it starts, as one of the person whose stack this is."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self._settings, "VIVESPHERE_HOME": str(self.home)}.items():
                patch.setenv(name, value)
            loading.load.cache_clear()
            try:
                yield
            finally:
                loading.load.cache_clear()

    def up(self) -> None:
        """`vivesphere up`."""
        self.said = []
        stack.up(self.said.append)

    def down(self) -> None:
        """`vivesphere down`."""
        stack.down()

    def note(self) -> board.Note:
        """What the supervisor says now."""
        note = board.read(self.home)
        assert note is not None
        return note

    def process(self, part: str) -> Process:
        """The process of a part, which must run."""
        found = self.note().parts[part].process
        assert found is not None and found.alive
        return found

    def api(self) -> httpx.Client:
        """Prefect's server."""
        return prefect_api.client(self.places)

    def deploy_small_flows(self) -> None:
        """The flows of these tests, on the way that prefect.yaml takes; once for the life of the stack's database."""
        if not self._deployed:
            registration.register(self.places, SMALL_FLOWS)
        self._deployed = True

    def runs(self, deployment: str, **criteria: Any) -> list[dict[str, Any]]:
        """Runs of a deployment, `flow/name`."""
        flow, _, name = deployment.partition("/")
        with self.api() as api:
            return list(
                prefect_api.filtered(
                    api,
                    "/flow_runs",
                    flow_runs=criteria,
                    flows={"name": {"any_": [flow]}},
                    deployments={"name": {"any_": [name]}},
                )
            )

    def run(self, run_id: str) -> dict[str, Any]:
        """One run."""
        with self.api() as api:
            found: dict[str, Any] = api.get(f"/flow_runs/{run_id}").raise_for_status().json()
            return found

    def start_run(self, deployment: str, **parameters: Any) -> str:
        """Ask Prefect for a run of the small flows; answers its id."""
        self.deploy_small_flows()
        with self.api() as api:
            found = api.get(f"/deployments/name/{deployment}").raise_for_status().json()["id"]
            answer = api.post(f"/deployments/{found}/create_flow_run", json={"parameters": parameters})
            return str(answer.raise_for_status().json()["id"])
