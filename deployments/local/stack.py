"""`up`, `down`: the two things people do with the stack as a whole."""

import signal
import subprocess  # nosec B404
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from config import loading
from config.loading import APP_ROOT
from config.places import Places
from deployments.gateway import first_sign_in
from deployments.local import (
    board,
    environment,
    layout,
    log_files,
    postgres,
    processes,
    programs,
    reaper,
    registration,
    work_pool,
)
from deployments.local.board import Note
from deployments.local.processes import Process

POLL_SECONDS = 0.05
LOCK_SECONDS = 120.0
# What lives only as long as the stack is up, beside the board itself.
TRANSIENT = ("*.secret-id", "*.role-id", "prefect.auth", "*.sock")

Progress = Callable[[str], None]


class StackFailedError(RuntimeError):
    """The stack did not come up or did not go down; the text says which part, why and where its log is."""


def up(progress: Progress = lambda line: None, register_again: bool = False) -> Places:
    """Start what is not running and wait until all of it is healthy; a second call finds it so and changes nothing.

    `progress` gets a line for each part that is up; `register_again` undoes what was changed on Prefect's server by
    hand. Raises StackFailedError, PortTakenError, StackBusyError.
    """
    home = Places(loading.settings()).home
    with layout.locked(home, LOCK_SECONDS):
        layout.prepare(home)
        loading.load.cache_clear()
        places = Places(loading.settings())
        note = board.read(home)
        if note is None or not note.supervisor.alive or note.phase not in ("starting", "up"):
            clear(home, places.settings.stack.stop_seconds)
            layout.check_ports(places)
            _spawn(places)
        _wait_until_up(places, progress)
        if register_again:
            work_pool.ensure(places)
            registration.register(places, force=True)
        return places


def down(progress: Progress = lambda line: None) -> bool:
    """Stop every process of the stack and wait until none is left; answers whether there was one."""
    places = Places(loading.settings())
    if not places.home.exists():
        return False
    with layout.locked(places.home, LOCK_SECONDS):
        note = board.read(places.home)
        was_up = bool(processes.of_stack(places.home))
        if note is not None and note.supervisor.alive:
            progress("stopping the stack")
            # Three groups of parts stop one after the other, each within its patience, and the runs before them.
            processes.end([note.supervisor], 4 * places.settings.stack.stop_seconds)
        clear(places.home, places.settings.stack.stop_seconds)
    return was_up


def renew_prefect_auth(progress: Progress = lambda line: None) -> None:
    """Give Prefect's server and worker of the running stack another auth string; raises StackFailedError.

    Runs at work go on posting; Prefect's pages and API answer 503 until the server is back.
    """
    places = Places(loading.settings())
    with layout.locked(places.home, LOCK_SECONDS):
        note = board.read(places.home)
        if note is None or note.phase != "up" or not note.supervisor.alive:
            raise StackFailedError("the stack is not up: a new auth string comes with the next `vivesphere up`")
        if places.settings.prefect.api_url:
            raise StackFailedError("Prefect's server is somebody else's: its auth string is theirs to change")
        before = {name: note.parts[name].process for name in ("prefect", "worker")}
        note.supervisor.send(signal.SIGHUP)
        deadline = time.monotonic() + 4 * places.settings.stack.ready_seconds
        while not _are_replaced(board.read(places.home), before):
            if time.monotonic() > deadline:
                raise StackFailedError(f"server or worker did not come back: see {places.logs / 'supervisor.log'}")
            time.sleep(POLL_SECONDS)
    progress("Prefect's server and worker have a new auth string")


def _are_replaced(note: Note | None, before: Mapping[str, Process | None]) -> bool:
    """Whether other processes stand in the place of these, and serve."""
    return note is not None and all(
        note.parts[name].state == "up" and note.parts[name].process not in (None, process)
        for name, process in before.items()
    )


def clear(home: Path, patience_seconds: float) -> None:
    """End what a killed supervisor left behind, the database last and safely, and remove what outlived it.

    The caller holds the home's lock.
    """
    cluster = home / "postgres"
    # Runs first: they say goodbye to Prefect's server, and wait for it where it is gone.
    reaper.end_runs(home, patience_seconds)
    database = {process.pid for process in postgres.processes_in(cluster)}
    processes.end([left for left in processes.of_stack(home) if left.pid not in database], patience_seconds)
    postgres.stop_leftover(cluster)
    for pattern in TRANSIENT:
        for path in (home / "run").glob(pattern):
            path.unlink(missing_ok=True)
    board.path(home).unlink(missing_ok=True)


def _spawn(places: Places) -> None:
    log = places.logs / "supervisor.log"
    with open(log_files.opened(log), "ab") as output:
        subprocess.Popen(  # noqa: S603  # nosec B603
            [sys.executable, "-m", "deployments.local.supervisor"],
            env=environment.own(places),
            cwd=APP_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait_until_up(places: Places, progress: Progress) -> None:
    # The slowest chain is four parts long; each has its own patience inside the supervisor.
    deadline = time.monotonic() + 4 * places.settings.stack.ready_seconds
    log = places.logs / "supervisor.log"
    told: set[str] = set()
    seen = None
    while time.monotonic() < deadline:
        note = board.read(places.home) or seen
        if note is not None:
            _tell(note, told, progress)
            if note.phase == "up":
                return
            if note.phase == "failed":
                processes.wait_for_end([note.supervisor], places.settings.stack.stop_seconds)
                raise StackFailedError(note.problem or f"see {log}")
            if not note.supervisor.alive:
                raise StackFailedError(f"the supervisor ended: see {log}\n{log_files.tail(log)}")
        seen = note
        time.sleep(POLL_SECONDS)
    raise StackFailedError(f"the stack is not up yet; `vivesphere status` shows which part it waits for, see {log}")


def _tell(note: Note, told: set[str], progress: Progress) -> None:
    for name, part in note.parts.items():
        if part.state in ("up", "done") and name not in told:
            told.add(name)
            progress(f"{name} is {part.state}" + (f" at {part.address}" if part.address else ""))


def new_link(places: Places, since: float) -> str | None:
    """Where the first admin chooses a password, if that link was made since an instant (seconds of the epoch)."""
    file = first_sign_in.link_file(places)
    try:
        return file.read_text(encoding="utf-8").strip() if file.stat().st_mtime >= since else None
    except FileNotFoundError:
        return None


def sign_in_files(places: Places) -> dict[str, Path]:
    """Which 0600 file opens which door, by what it opens."""
    files = {
        "Prefect's server, for the stack itself": places.prefect_auth,
        "the first admin, who chooses a password there": first_sign_in.link_file(places),
        "Postgres, as its admin": postgres.admin_password_file(places),
        "the X sandbox's controls": programs.sandbox_token_file(places) if places.x_is_sandbox else None,
    }
    return {door: path for door, path in files.items() if path is not None and path.exists()}
