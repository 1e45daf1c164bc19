"""Looks for what is wrong before it hurts; each finding says what, and how to put it right."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, requires, version

import httpx
from packaging.requirements import Requirement

from config.places import Places
from config.settings import X
from deployments.local import backup, databases, layout, openbao, status, worker
from deployments.local.registration_check import registered
from tasks.store import migrate as schema

PYTHON_OLDEST, PYTHON_NEWEST = (3, 11), (3, 13)
POSTGRES_OLDEST = 160_000
MB = 1_000_000
# The Date header of HTTP has whole seconds, and servers keep it for one more; beyond this it is the clock.
SKEW_SECONDS = 3.0
PROBE_SECONDS = 5.0
SECONDS_PER_HOUR = 3600

Revisions = Callable[[], tuple[str | None, str | None]]


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `fix` is empty where all is well."""

    name: str
    said: str
    fix: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing is to be done."""
        return not self.fix


def examine(places: Places, revisions: Revisions | None = None) -> list[Finding]:
    """Look at everything that can be looked at; with the stack down, at this machine alone.

    `revisions` answers the schema's revision and the newest one this release knows.
    """
    checks: list[Callable[[], Iterator[Finding]]] = [
        packages,
        lambda: disk(places),
        lambda: secrets(places),
        lambda: backups(places),
    ]
    found = status.status(places)
    if not found:
        checks += [lambda: ports(places), _not_running]
    else:
        asked = revisions or (lambda: schema_revisions(places))
        checks += [
            lambda: parts(found),
            lambda: clock(places),
            lambda: vault(places),
            lambda: database(places, asked),
            lambda: overrides(places),
            lambda: heartbeat(places),
            lambda: delivery(places),
            lambda: restored(places),
            lambda: (Finding(*what) for what in registered(places)),
        ]
    with ThreadPoolExecutor() as threads:
        return [finding for group in threads.map(_guarded, checks) for finding in group]


def lines(findings: list[Finding]) -> list[str]:
    """A line a finding, and a second one with the fix where there is one."""
    rows = []
    for finding in findings:
        rows.append(f"{'ok ' if finding.well else '** '} {finding.name}: {finding.said}")
        if finding.fix:
            rows.append(f"    fix: {finding.fix}")
    return rows


def packages() -> Iterator[Finding]:
    """Python and each package we name, against the versions that we were tested with."""
    python = sys.version_info[:2]
    if not PYTHON_OLDEST <= python <= PYTHON_NEWEST:
        yield Finding("python", f"{python[0]}.{python[1]} is not supported", "install Python 3.11, 3.12 or 3.13")
    wrong = []
    for line in requires("vivesphere") or []:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            installed = _installed(wanted.name)
            if installed is None or installed not in wanted.specifier:
                wrong.append(f"{wanted.name} {installed or 'missing'}, wanted {wanted.specifier or 'any'}")
    yield Finding("packages", "; ".join(wrong) or "as locked", "make install" if wrong else "")


def disk(places: Places) -> Iterator[Finding]:
    """Room for the write-ahead log: without it no post can be marked, so none is sent."""
    free = shutil.disk_usage(places.home if places.home.exists() else places.home.parent).free // MB
    least = places.settings.stack.disk_free_mb
    fix = "" if free >= least else f"free some space under {places.home}, or lower stack.disk_free_mb"
    yield Finding("disk", f"{free:,} MB free, {least:,} MB wanted", fix)


def secrets(places: Places) -> Iterator[Finding]:
    """Bootstrap secrets are for their owner alone."""
    files = [path for folder in (places.secrets, places.run) if folder.exists() for path in folder.iterdir()]
    readable = [str(path) for path in files if path.is_file() and path.stat().st_mode & 0o077]
    if places.home.exists() and places.home.stat().st_mode & 0o077:
        readable.append(str(places.home))
    said = f"readable by others: {', '.join(readable)}" if readable else "readable by their owner alone"
    yield Finding("secrets", said, f"chmod go= {' '.join(readable)}" if readable else "")


def backups(places: Places, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """The last backup is young enough, and somebody has what opens it; a young stack has lost nothing yet."""
    key, allowed = openbao.unseal_key(places), places.settings.backup.max_age_hours
    if places.settings.postgres.address or places.settings.vault.address:
        yield Finding("backup", "Postgres or the vault is somebody else's, and backed up there")
        return
    found = backup.known(places)
    born = key.stat().st_mtime if key.exists() else now()
    age = (now() - (found.made_at.timestamp() if found.made_at else born)) / SECONDS_PER_HOUR
    said = f"{age:.1f} h old" if found.made_at else f"none yet, the stack is {age:.1f} h old"
    yield Finding("backup", said, "vivesphere db backup" if age > allowed else "")
    if found.made_at and found.keys_taken_at is None:
        yield Finding("backup keys", "never taken out: nobody can open the backups without", "vivesphere db keys FILE")


def restored(places: Places) -> Iterator[Finding]:
    """Whether this stack waits for a person to take over."""
    with databases.admin(places, places.settings.postgres.database) as connection:
        row = connection.execute(
            "SELECT kind, to_char(backup_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM restore_epochs"
            " WHERE ended_at IS NULL"
        ).fetchone()
    if row is not None:
        what = "restored from a backup of" if row[0] == "restored" else "handed over at"
        fix = "stop the other stack for good, then `vivesphere db take-over`: until then nothing is posted"
        yield Finding("restore", f"{what} {row[1]} UTC", fix)


def ports(places: Places) -> Iterator[Finding]:
    """Before a start: our ports are free."""
    try:
        layout.check_ports(places)
    except layout.PortTakenError as error:
        what, _, fix = str(error).partition(": end that program")
        yield Finding("ports", what, f"end that program{fix}")
    else:
        yield Finding("ports", "free")


def parts(found: list[status.PartStatus]) -> Iterator[Finding]:
    """Each part serves."""
    for part in found:
        well = part.state in ("up", "elsewhere")
        fix = (
            "vivesphere up"
            if part.name == "supervisor"
            else f"see {part.name}.log in the folder logs, then vivesphere up"
        )
        yield Finding(part.name, f"{part.state} {part.problem or part.address}".strip(), "" if well else fix)


def clock(places: Places, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """This machine's clock against those of X and the database; posts are timed by the database's."""
    fix = "set this machine's clock by NTP (`timedatectl set-ntp true`); its posts would be early or late"
    for name, ask in (("X", _clock_of_x), ("the database", databases.server_clock)):
        theirs = ask(places)
        if theirs is not None:
            skew = now() - theirs
            yield Finding("clock", f"{skew:+.1f} s from {name}", fix if abs(skew) > SKEW_SECONDS else "")


def vault(places: Places) -> Iterator[Finding]:
    """By a real read: the health page stays green with a full audit disk."""
    refusal = openbao.ready(places)()
    fix = f"see {places.logs / 'openbao.log'}; a full disk stops it as well"
    yield Finding("vault", refusal or "reads", fix if refusal else "")


def database(places: Places, revisions: Revisions) -> Iterator[Finding]:
    """The server is new enough, and the schema is this release's."""
    server = databases.server_version(places)
    too_old = server < POSTGRES_OLDEST
    yield Finding("postgres version", f"{server // 10_000}", "upgrade Postgres to 16 or newer" if too_old else "")
    is_at, newest = revisions()
    well = is_at == newest
    yield Finding("migrations", f"at {is_at}, newest is {newest}", "" if well else "vivesphere down && vivesphere up")


def overrides(places: Places) -> Iterator[Finding]:
    """What people set while the stack ran is what this release takes."""
    for one in (found := databases.ignored_overrides(places)):
        yield Finding("setting", one.said, one.fix)
    if not found:
        yield Finding("settings", "every override is in force")


def delivery(places: Places) -> Iterator[Finding]:
    """What the promise of delivery rests on, as far as it can be seen: docs/guide/delivery.md, S1 to S5."""
    x, known = places.settings.x, X()
    for name, assumed, least in (
        ("S1 settle", x.settle_seconds, known.settle_seconds),
        ("S2 visible", x.visible_seconds, known.visible_seconds),
    ):
        short = x.base_url is not None and assumed < least
        fix = f"set x.{name.split()[1]}_seconds to {least:.0f} or more: a post may go out twice" if short else ""
        yield Finding(name, f"{assumed:g} s assumed", fix)
    lossy = databases.loses_commits(places)
    yield Finding(
        "S3 commits",
        f"{', '.join(lossy)} off" if lossy else "survive a crash",
        "switch them on in Postgres: a post whose mark is lost may go out twice" if lossy else "",
    )
    ours, theirs = databases.server_clock(places), _clock_of_x(places)
    if ours is not None and theirs is not None:
        skew = abs(ours - theirs)
        wide = skew > x.clock_skew_seconds
        fix = "set the database's clock by NTP, or raise x.clock_skew_seconds: posts are not found on X" if wide else ""
        yield Finding("clocks of X and the database", f"{skew:.1f} s apart", fix)


def heartbeat(places: Places) -> Iterator[Finding]:
    """Prefect hears from our worker."""
    refusal = worker.refusal(places)
    yield Finding("worker heartbeat", refusal or "heard", f"see {places.logs / 'worker.log'}" if refusal else "")


def schema_revisions(places: Places) -> tuple[str | None, str | None]:
    """Asked as the schema's owner."""
    with databases.owner_engine(places, databases.passwords(places)).connect() as connection:
        return schema.at_head(connection)


def _not_running() -> Iterator[Finding]:
    yield Finding("stack", "does not run here", "vivesphere up")


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A check that cannot be made is a finding of its own, and stops no other."""
    try:
        return list(check())
    except Exception as error:  # whatever is broken is what a person called the doctor for
        return [Finding("doctor", f"could not look: {error}", "put the other findings right first, then look again")]


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _clock_of_x(places: Places) -> float | None:
    try:
        date = httpx.head(places.x, timeout=PROBE_SECONDS, trust_env=False).headers.get("date")
    except httpx.HTTPError:
        return None
    return parsedate_to_datetime(date).timestamp() if date else None
