"""Trends: sources are read one by one, what they list is kept, and what rises is found by it. Insight only."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from blocks.prefect_api import PrefectApi, PrefectError
from blocks.trend_sources import catalogue
from blocks.trend_sources.source import Observation, SourceClass, TrendSource
from blocks.trend_sources.source import Reading as Page
from tasks.connections import Connections
from tasks.domain import burst
from tasks.domain.burst import Listing, Part, Place, Signal
from tasks.domain.trends import canonical, cluster, spam
from tasks.operations.trend_pages import Unreachable, fetch
from tasks.reports.rising_trends import SHOWN, Line
from tasks.reports.rising_trends import picture as draw
from tasks.store import base, trend_vectors, trends
from tasks.store.trends import CurrentSource, Health, Known, Name, Reading, Row, Score, Source, Stood, Trend

# A source that was good within this time still says what is current although it fails now.
GOOD_FOR = timedelta(hours=1)
# A trend that is on no list any more is remembered so long, so that one that comes back is not told again.
REMEMBERED = timedelta(hours=6)
DAYS_BACK = 14
# A source that fails is left alone for longer each time, up to so many of its turns.
TURNS_MOST = 16
RANK_MOST, VOLUME_MOST, URL_CHARACTERS_MOST = 2**15 - 1, 2**63 - 1, 2000


EVENT = "vivesphere.trend.rising"

log = logging.getLogger("vivesphere.debug")


class NoSuchTrendError(LookupError):
    """No list has it, or none of the days that were asked for."""


@dataclass(frozen=True)
class Read:
    """How a source was found: with a verdict of its own, or `unreachable`; `reason` is a sentence for people."""

    source: str
    verdict: str
    reason: str
    rows: int = 0


@dataclass(frozen=True)
class Rising:
    """A trend that rises, and what its score is made of."""

    name: str
    cluster: str
    score: float
    parts: Sequence[Part]
    sources: Sequence[str]
    is_told: bool


@dataclass(frozen=True)
class Scored:
    """What all lists amount to: how many trends stand on them, and those that rise, the strongest first."""

    trends: int
    rising: Sequence[Rising]

    @property
    def fresh(self) -> Sequence[Rising]:
        """Those that rise since this time."""
        return [one for one in self.rising if not one.is_told]


def may_ask(at: Connections, kind: SourceClass) -> bool:
    """Whether sources of a class may be asked: X knows who we are, all others are told by the settings."""
    return kind == "x" or bool(at.places.settings.trend_sources.contact)


async def take_due(at: Connections, kind: SourceClass) -> Sequence[Source]:
    """Sources of a class that the settings want and that are due, for whoever asks first.

    None as long as the settings name nobody whom those who run a source could reach.
    """
    if not may_ask(at, kind):
        return []
    wanted = _of_settings(at, kind)
    lease = timedelta(seconds=at.places.settings.trends.lease_seconds)
    async with at.transaction() as session:
        await trends.want(session, kind, [(source.name, source.place) for source in wanted.values()])
        return await trends.take_due(session, kind, lease)


async def collect(at: Connections, kind: SourceClass, source: Source) -> Read:
    """Read one source and keep what it lists; what goes wrong on its side ends in its health.

    A source that does not give what it should leaves when it was good last, and why it is not now.
    """
    wanted = _of_settings(at, kind)[source.name, source.place]
    async with at.transaction() as session:
        now = await base.now(session)
    found = await _page(at, wanted, now)
    every = timedelta(minutes=wanted.every_minutes)
    bucket_at = burst.floored(now, every)
    async with at.transaction() as session:
        if isinstance(found, Page) and found.verdict == "ok":
            rows = _rows(found.observations)
            await trends.add(session, [Reading(source.id, bucket_at, now, rows)])
            await trend_vectors.note_headlines(session, _headlines(found.observations))
            await trends.note_good(session, source.id, now, len(rows), bucket_at + every)
            return Read(wanted.key, "ok", found.reason, len(rows))
        turns = min(2**source.failures, TURNS_MOST)
        next_at = bucket_at + turns * every
        verdict = "unreachable"
        if isinstance(found, Unreachable):
            next_at = max(next_at, found.retry_at or now)
        else:
            verdict = found.verdict
        await trends.note_bad(session, source.id, now, verdict, found.reason, next_at)
        return Read(wanted.key, verdict, found.reason)


def _of_settings(at: Connections, kind: SourceClass) -> Mapping[tuple[str, str], TrendSource]:
    found = catalogue.sources(at.places.settings.trend_sources)
    return {(source.name, source.place): source for source in found if source.source_class == kind}


async def _page(at: Connections, source: TrendSource, now: datetime) -> Page | Unreachable:
    """The first page of a source that gives rows, else what the last one gave."""
    found: Page | Unreachable = Unreachable("it has no address")
    for address in source.addresses(now):
        page = await fetch(at, address, now)
        if isinstance(page, Unreachable):
            found = page
            continue
        found = source.read(page, now)
        if found.verdict == "ok":
            break
    return found


def _rows(observations: Sequence[Observation]) -> list[Row]:
    """Each name once: a list that has it in two spellings has it at the better place, with the larger volume."""
    found: dict[str, Row] = {}
    for one in observations:
        name = canonical(one.name)
        if not name:
            continue
        known = found.get(name)
        volumes = [volume for volume in (one.volume, known.volume if known else None) if volume is not None]
        volume = min(max(volumes), VOLUME_MOST) if volumes else None
        if known:
            found[name] = Row(known.name, known.rank, volume, known.promoted and one.promoted)
        else:
            url = one.url if one.url and len(one.url) <= URL_CHARACTERS_MOST else None
            kept = Name(name, cluster(name), one.name, one.kind, one.language, url, spam(one.name))
            found[name] = Row(kept, min(one.rank, RANK_MOST), volume, one.promoted)
    return list(found.values())


def _headlines(observations: Sequence[Observation]) -> Mapping[str, str]:
    """A title of what is behind each name, where the source tells one."""
    return {canonical(one.name): one.headline for one in observations if one.headline}


async def score(at: Connections) -> Scored:
    """Find out what rises by all lists that are current, and write down what each trend amounts to."""
    async with at.transaction() as session:
        now = await base.now(session)
        sources = await trends.current_sources(session, now - GOOD_FOR)
    strongest: dict[int, dict[str, Signal]] = {}
    listed: dict[int, list[CurrentSource]] = {}
    for source in sources:
        listings = await _listings(at, source)
        for name_id in listings[-1].places if listings else ():
            listed.setdefault(name_id, []).append(source)
        for name_id, signal in burst.signals(listings).items():
            strongest.setdefault(name_id, {})[source.name] = _stronger(
                strongest.get(name_id, {}).get(source.name), signal
            )
    async with at.transaction() as session:
        known = await trends.known(session, list(listed))
    clusters: dict[str, list[Known]] = {}
    for one in known:
        if one.spam is None:
            clusters.setdefault(one.cluster, []).append(one)
    async with at.transaction() as session:
        await trends.lock_scores(session)
        were_rising = await trends.rising(session)
        scored = [_scored(names, strongest, listed, one in were_rising, now) for one, names in clusters.items()]
        await trends.write_scores(session, [_as_kept(*one) for one in scored], now, REMEMBERED)
    rising = [one for one, _, is_rising in scored if is_rising]
    return Scored(len(scored), sorted(rising, key=lambda one: -one.score))


async def announce(at: Connections, fresh: Sequence[Rising]) -> None:
    """Tell Prefect's server what rises since now; best effort, as whoever comes later finds it in the table."""
    if not fresh:
        return
    try:
        async with PrefectApi(at.places) as prefect:
            await prefect.emit([_event(one) for one in fresh])
    except PrefectError as error:
        log.warning("what rises was not told to Prefect: %s", error)


def _event(one: Rising) -> Mapping[str, Any]:
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": EVENT,
        "resource": {"prefect.resource.id": f"vivesphere.trend.{one.cluster}", "prefect.resource.name": one.name},
        "related": [],
        "payload": {"score": one.score, "why": [part.said for part in one.parts], "sources": list(one.sources)},
    }


def line(one: Rising) -> Line:
    """As a page shows it."""
    return Line(one.name, one.score, [part.said for part in one.parts], one.sources, not one.is_told)


async def picture(at: Connections) -> str:
    """What rises now, as SVG."""
    rising = await current(at, SHOWN, only_rising=True)
    return draw([Line(one.shown, one.score, [], one.sources) for one in rising])


async def current(at: Connections, limit: int, only_rising: bool) -> Sequence[Trend]:
    """Trends as they stand, the highest score first."""
    async with at.transaction() as session:
        return await trends.current(session, limit, only_rising)


async def sources(at: Connections) -> Sequence[Health]:
    """How each source stands that the settings want."""
    async with at.transaction() as session:
        return await trends.health(session)


async def show(at: Connections, name: str, days: int) -> tuple[Trend | None, Sequence[Stood]]:
    """A trend by any spelling, as it is scored (None: it is on no list now), and where it stood. Raises
    NoSuchTrendError."""
    wanted = cluster(canonical(name))
    async with at.transaction() as session:
        now = await base.now(session)
        found = await trends.one(session, wanted)
        stood = await trends.course(session, wanted, now - timedelta(days=days))
    if found is None and not stood:
        raise NoSuchTrendError(f"no list of the last {days} days has {name}")
    return found, stood


async def _listings(at: Connections, source: CurrentSource) -> list[Listing]:
    """The lists of a source that count, the oldest first."""
    wanted = burst.READINGS_NOW + burst.READINGS_BEFORE
    async with at.transaction() as session:
        rows = await trends.listed(session, source, wanted, DAYS_BACK, burst.SAME_HOUR)
    found: dict[datetime, dict[int, Place]] = {}
    for bucket_at, name_id, rank, volume in rows:
        found.setdefault(bucket_at, {})[name_id] = Place(rank, volume)
    return [Listing(bucket_at, places) for bucket_at, places in found.items()]


def _stronger(one: Signal | None, other: Signal) -> Signal:
    return other if one is None or other.strength > one.strength else one


def _scored(
    names: Sequence[Known],
    signals: Mapping[int, Mapping[str, Signal]],
    listed: Mapping[int, Sequence[CurrentSource]],
    was_rising: bool,
    now: datetime,
) -> tuple[Rising, int, bool]:
    """A cluster's names as one trend, shown as the name that rises most; that name, and whether it rises."""
    by_source: dict[str, Signal] = {}
    shown, most = names[0], -1.0
    for one in names:
        for source, signal in signals.get(one.id, {}).items():
            by_source[source] = _stronger(by_source.get(source), signal)
            if signal.strength > most:
                shown, most = one, signal.strength
    where = [source for one in names for source in listed[one.id]]
    known_since = max(source.known_since for source in where)
    is_new = burst.is_new(min(one.first_seen_at for one in names), known_since, now)
    total, parts = burst.score(by_source, is_new)
    keys = sorted({f"{source.name}:{source.place}" for source in where})
    is_rising = burst.is_rising(total, was_rising)
    return Rising(shown.shown, shown.cluster, total, parts, keys, was_rising), shown.id, is_rising


def _as_kept(one: Rising, name_id: int, is_rising: bool) -> Score:
    return Score(one.cluster, name_id, one.score, [asdict(part) for part in one.parts], one.sources, is_rising)
