"""Keeps one child alive: start, wait until it serves, and again with growing pauses when it dies."""

import subprocess  # nosec B404
import threading
import time

from config.loading import APP_ROOT
from config.places import Places
from deployments.local import log_files
from deployments.local.board import Board, say
from deployments.local.child import Child
from deployments.local.environment import MARKER, marker
from deployments.local.processes import Process

POLL_SECONDS = 0.05
# A child that served for this long is well: its next death starts the pauses anew.
WELL_SECONDS = 60.0


class ChildFailedError(RuntimeError):
    """A child did not come up; the text says why and where its log is."""


class Keeper:
    """One child and the thread that watches it; `start` and `stop` are called by one thread each, once."""

    def __init__(self, child: Child, board: Board, places: Places) -> None:
        self.child = child
        self._board = board
        self._home = places.home
        self._log = places.logs / f"{child.name}.log"
        self._settings = places.settings.stack
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch = threading.Thread(target=self._keep, name=f"keep-{child.name}", daemon=True)

    def start(self) -> None:
        """Start it and return once it serves; raises ChildFailedError."""
        self._board.part(self.child.name, state="starting", address=self.child.address)
        began = time.monotonic()
        self._come_up()
        if self._stopping.is_set():
            return
        took = round(time.monotonic() - began, 2)
        self._board.part(self.child.name, state="up", took_seconds=took)
        say(f"{self.child.name}: up after {took} s at {self.child.address}")
        self._watch.start()

    def replace(self, child: Child) -> None:
        """Kill the process; what comes in its place is `child`. Asked to end, a worker would take its runs along."""
        self.child = child
        if self._process is not None:
            self._process.kill()

    def give_up(self) -> None:
        """Wait no longer for it to serve; `stop` follows."""
        self._stopping.set()

    def stop(self) -> None:
        """End it and do not start it again."""
        self._stopping.set()
        self._end()
        if self._watch.is_alive():
            self._watch.join()
            self._end()  # it may have been about to start one more
        self._board.part(self.child.name, state="stopped", process=None)

    def _come_up(self) -> None:
        try:
            if self.child.prepare is not None:
                self.child.prepare()
        except Exception as error:  # whatever first-time work fails with, a person must read it beside the part's name
            raise ChildFailedError(f"{self.child.name}: {error}") from error
        process = self._spawn()
        deadline = time.monotonic() + self._settings.ready_seconds
        while (refusal := self._refusal()) is not None:
            if self._stopping.is_set():
                return
            code = process.poll()
            if code is not None:
                raise ChildFailedError(f"{self.child.name} ended with code {code}: {self._said()}")
            if time.monotonic() > deadline:
                self._end()
                waited = f"{self._settings.ready_seconds:g} s"
                raise ChildFailedError(f"{self.child.name} does not serve after {waited}: {refusal}; {self._said()}")
            time.sleep(POLL_SECONDS)

    def _refusal(self) -> str | None:
        try:
            return self.child.ready()
        except Exception as error:  # a probe that fails is an answer too
            return str(error) or type(error).__name__

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with open(log_files.opened(self._log), "ab") as output:
            process = subprocess.Popen(  # noqa: S603  # nosec B603
                self.child.command,
                env={**self.child.environment, MARKER: marker(self._home)},
                cwd=self.child.folder or APP_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._process = process
        self._board.part(self.child.name, process=Process.of(process.pid))
        return process

    def _keep(self) -> None:
        pause = self._settings.restart_first_seconds
        restarts = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._process.wait() if self._process else None
            if self._stopping.is_set():
                return
            if time.monotonic() - began > WELL_SECONDS:
                pause = self._settings.restart_first_seconds
            restarts += 1
            say(f"{self.child.name}: ended with code {code}; start {restarts} follows in {pause:g} s")
            self._board.part(self.child.name, state="restarting", process=None, restarts=restarts)
            self._stopping.wait(pause)
            pause = min(pause * 2, self._settings.restart_most_seconds)
            if self._stopping.is_set():
                return
            self._restart()

    def _restart(self) -> None:
        try:
            self._come_up()
        except (ChildFailedError, OSError) as error:
            say(str(error))
            self._board.part(self.child.name, problem=str(error))
        else:
            say(f"{self.child.name}: up again")
            self._board.part(self.child.name, state="up", problem=None)

    def _end(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(self.child.stop_signal)
        try:
            process.wait(self._settings.stop_seconds)
        except subprocess.TimeoutExpired:
            say(f"{self.child.name}: did not stop within {self._settings.stop_seconds:g} s and is killed")
            process.kill()
            process.wait()

    def _said(self) -> str:
        return f"see {self._log}\n{log_files.tail(self._log)}".rstrip()
