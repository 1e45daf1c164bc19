"""Where the stack keeps its state, and the ports it chose once and stays with."""

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from config.places import Places
from config.settings import LOOPBACK

GATEWAY_PORT = 8000
# Below the range the system gives to outgoing connections: there a stranger's client could sit on our port.
PORT_RANGE = range(20_000, 32_000)
CHOSEN = (
    ("postgres", "port"),
    ("vault", "port"),
    ("vault", "cluster_port"),
    ("prefect", "port"),
    ("gateway", "port"),
    ("x", "sandbox_port"),
)


class StackBusyError(RuntimeError):
    """Another `up` or `down` holds the home."""


class PortTakenError(RuntimeError):
    """A port of ours is held by a program that is not ours; the text says which and what to do."""


@contextmanager
def locked(home: Path, wait_seconds: float) -> Iterator[None]:
    """One `up` or `down` at a time. The lock is on the folder itself, so that no lock file can stay behind."""
    _private_folder(home)
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(folder):
            if time.monotonic() > deadline:
                raise StackBusyError(f"another `vivesphere up` or `down` is at work in {home}: wait until it is done")
            time.sleep(0.05)
        yield
    finally:
        os.close(folder)


def prepare(home: Path) -> None:
    """Make the folders, for their owner alone, and choose the ports that are not chosen yet."""
    for folder in (home, home / "secrets", home / "run", home / "logs"):
        _private_folder(folder)
    path = home / "layout.json"
    layout: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missing = [(part, key) for part, key in CHOSEN if key not in layout.get(part, {})]
    taken = {port for ports in layout.values() for port in ports.values()}
    for part, key in missing:
        port = GATEWAY_PORT if part == "gateway" and _is_free(LOOPBACK, GATEWAY_PORT) else _free_port(taken)
        taken.add(port)
        layout.setdefault(part, {})[key] = port
    if missing:
        write_private(path, json.dumps(layout, indent=2) + "\n")


def check_ports(places: Places) -> None:
    """Raise PortTakenError for the first port of a part we start that somebody else listens on.

    Call it while nothing of ours runs.
    """
    for part, key, host, port in own_ports(places):
        if not _is_free(host, port):
            raise PortTakenError(
                f"{part}: port {port} is taken by {_holder(port)}: end that program, or delete "
                f'"{key}" under "{part}" in {places.home / "layout.json"}, so that the next `vivesphere up` '
                f"chooses another (where a setting names the port, change {part}.{key})"
            )


def own_ports(places: Places) -> Iterator[tuple[str, str, str, int]]:
    """Section, key, host and port of each listener that we start."""
    settings = places.settings
    somebody_elses = {
        "postgres": settings.postgres.address,
        "vault": settings.vault.address,
        "prefect": settings.prefect.api_url,
        "x": settings.x.base_url,
        "gateway": None,
    }
    for part, key in CHOSEN:
        port: int | None = getattr(getattr(settings, part), key)
        if port is not None and not somebody_elses[part]:
            yield part, key, settings.gateway.host if part == "gateway" else LOOPBACK, port


def write_private(path: Path, text: str) -> None:
    """Write a 0600 file in one step: a reader sees the old or the new content, never a part."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _try_lock(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port(taken: set[int]) -> int:
    for port in secrets.SystemRandom().sample(PORT_RANGE, len(PORT_RANGE)):
        if port not in taken and _is_free(LOOPBACK, port):
            return port
    raise PortTakenError(
        f"no port from {PORT_RANGE.start} to {PORT_RANGE.stop} is free: end programs that listen there"
    )


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that linger from the last run are not a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    for listener in psutil.net_connections("tcp"):
        if listener.status == psutil.CONN_LISTEN and listener.laddr and listener.laddr.port == port and listener.pid:
            try:
                return f"process {listener.pid} ({' '.join(psutil.Process(listener.pid).cmdline())[:80]})"
            except psutil.Error:
                break
    return "another program"
