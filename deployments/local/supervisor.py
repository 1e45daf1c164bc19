"""The one process that keeps the stack: starts the parts in order, restarts what dies, stops all in order.

Started by `up` as a daemon: `python -m deployments.local.supervisor`. It holds no state that a killed one could take
along: what is where stands in files, and the children run on without it until the next `up` or `down` ends them.
"""

import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import httpx

from config import loading
from config.places import Places
from deployments.local import (
    log_files,
    openbao,
    plan,
    prefect_api,
    prefect_server,
    reaper,
    vault_provisioning,
    work_pool,
    worker,
)
from deployments.local.board import Board, say
from deployments.local.keeper import ChildFailedError, Keeper
from deployments.local.plan import Part
from deployments.local.processes import Process
from deployments.local.watchman import Watchman, by_process

TICK_SECONDS = 1.0
RENEW_AGAIN_SECONDS = 5.0
VAULT_LOOK_SECONDS = 60.0
# Ended together: first who takes work, then what the work stands on, last the database under all of them.
STOP_ORDER = (("gateway", "clerk", "worker"), ("prefect", "x-sandbox", "openbao"), ("postgres",))


class Supervisor:
    """One start of the stack, from nothing to stopped."""

    def __init__(self, places: Places, board: Board) -> None:
        self._places = places
        self._board = board
        self._keepers: dict[str, Keeper] = {}
        self._stop = threading.Event()
        self._renew_auth = threading.Event()

    def ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Signal handler: end in order."""
        # On a thread: the handler may have interrupted this one while it held the very lock that the event needs.
        threading.Thread(target=self._give_up, daemon=True).start()

    def ask_for_new_auth(self, _signal: int, _frame: FrameType | None) -> None:
        """Signal handler: give Prefect's server and worker another auth string."""
        threading.Thread(target=self._renew_auth.set, daemon=True).start()

    def _give_up(self) -> None:
        self._stop.set()
        for keeper in list(self._keepers.values()):
            keeper.give_up()

    def run(self) -> int:
        """Start, watch until asked to stop, stop; answers the exit code."""
        problem = None
        try:
            problem = self._start(list(plan.parts(self._places)))
            if problem is None and not self._stop.is_set():
                self._board.phase("up")
                say("the stack is up")
                self._watch()
        finally:
            say("the stack stops")
            self._board.phase("stopping")
            self._stop_all()
        if problem:
            self._board.phase("failed", problem)
        return 1 if problem else 0

    def _start(self, parts: list[Part]) -> str | None:
        """Each part in a thread of its own, as soon as what it needs is there; answers the first failure."""
        done = {part.name: threading.Event() for part in parts}
        failures: list[str] = []

        def start(part: Part) -> None:
            for name in part.after:
                while name in done and not done[name].wait(0.1):
                    if self._stop.is_set():
                        return
            if self._stop.is_set():
                return
            try:
                self._start_part(part)
            except Exception as error:  # whatever it was: `up` must end with the part's name, not hang
                failures.append(str(error) if isinstance(error, ChildFailedError) else f"{part.name}: {error}")
                say(failures[-1])
                self._board.part(part.name, state="failed", problem=failures[-1])
                self._give_up()
            else:
                done[part.name].set()

        for part in parts:
            self._board.part(part.name, state="waiting")
        with ThreadPoolExecutor(max_workers=len(parts), thread_name_prefix="start") as threads:
            list(threads.map(start, parts))
        return failures[0] if failures else None

    def _start_part(self, part: Part) -> None:
        if part.child is not None:
            keeper = Keeper(part.child, self._board, self._places)
            self._keepers[part.child.name] = keeper
            keeper.start()
        if part.step is not None:
            self._board.part(part.name, state="starting")
            part.step()
            self._board.part(part.name, state="done")
            say(f"{part.name}: done")

    def _watch(self) -> None:
        half_life = self._places.settings.stack.secret_id_seconds / 2
        logs = self._places.settings.logs
        renew_at = time.monotonic() + half_life
        look_at = time.monotonic()
        watchman = Watchman(self._places.settings.stack.alarm_seconds, by_process(self._places))
        written = [self._places.logs / f"{name}.log" for name in ("supervisor", "alarm", *self._keepers)]
        written.append(work_pool.run_log(self._places))
        while not self._stop.wait(TICK_SECONDS):
            for log in written:
                log_files.rotate(log, logs.file_bytes, logs.files_kept)
            watchman.look(self._board.note.parts)
            if self._renew_auth.is_set():
                self._renew_auth.clear()
                self._renew_prefect_auth()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + VAULT_LOOK_SECONDS
                self._keep_vault_up()
            if time.monotonic() >= renew_at:
                renew_at = time.monotonic() + (half_life if self._renew_secret_ids() else RENEW_AGAIN_SECONDS)

    def _renew_prefect_auth(self) -> None:
        """A new string for the server, then for the worker; runs at work post on without either."""
        places = self._places
        if "prefect" not in self._keepers:
            say("Prefect's server is somebody else's: its auth string is theirs to change")
            return
        prefect_server.new_auth(places)
        self._keepers["prefect"].replace(prefect_server.child(places))
        give_up_at = time.monotonic() + places.settings.stack.ready_seconds
        while (why := prefect_api.refusal(places)) is not None and not self._stop.wait(TICK_SECONDS / 10):
            if time.monotonic() > give_up_at:
                say(f"Prefect's server does not take its new auth string: {why}")
                return
        self._keepers["worker"].replace(worker.child(places))
        say("Prefect's server and worker have a new auth string")

    def _keep_vault_up(self) -> None:
        note = self._board.note.parts.get("openbao")
        if note is not None and note.state == "up" and note.process is not None:
            try:
                openbao.keep_up(self._places, note.process.pid)
            except Exception as error:  # a certificate or log that could not be renewed now is tried again in a minute
                say(f"openbao: {error}")

    def _renew_secret_ids(self) -> bool:
        try:
            vault_provisioning.renew_secret_ids(self._places)
        except Exception as error:  # the vault may be away for a while; the ids in use are good for half their time yet
            say(f"secret-ids were not renewed, next try in {RENEW_AGAIN_SECONDS:g} s: {error}")
            return False
        return True

    def _stop_all(self) -> None:
        # Before the worker, which would kill them: asked like this, a run finishes what it has begun.
        self._end_runs()
        for names in STOP_ORDER:
            keepers = [keeper for name, keeper in self._keepers.items() if name in names]
            with ThreadPoolExecutor(max_workers=len(names), thread_name_prefix="stop") as threads:
                list(threads.map(Keeper.stop, keepers))
            if "worker" in names and "worker" in self._keepers:
                self._end_runs()
                self._settle_runs()

    def _end_runs(self) -> None:
        reaper.end_runs(self._places.home, self._places.settings.stack.stop_seconds)

    def _settle_runs(self) -> None:
        """While Prefect's server still answers, so that its pages show no run as running that is not."""
        try:
            reaper.settle(self._places)
        except (OSError, httpx.HTTPError) as error:
            say(f"open runs were not settled, the next start does it: {error}")


def main() -> int:
    """Run as the daemon of the home that the settings name."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    # A shell may have left SIGINT ignored; children inherit that, and Prefect's worker would then never stop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    places = Places(loading.settings())
    process = Process.of(os.getpid())
    if process is None:
        raise RuntimeError("this machine has no /proc, which the supervisor needs")
    supervisor = Supervisor(places, Board(places.home, process))
    signal.signal(signal.SIGTERM, supervisor.ask_to_stop)
    signal.signal(signal.SIGHUP, supervisor.ask_for_new_auth)
    say(f"supervisor {process.pid} starts the stack in {places.home}")
    if not places.settings.prefect.api_url:
        prefect_server.new_auth(places)
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
