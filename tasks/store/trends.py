"""Trends: sources and their health, names, readings by scheduled instant in monthly partitions, and scores."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from psycopg import AsyncConnection
from sqlalchemy import BigInteger, Boolean, Column, Double, Identity, Integer, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import Instant, Json, metadata, values

trend_sources = Table(
    "trend_sources",
    metadata,
    Column("id", SmallInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column(
        "wanted",
        Boolean,
        nullable=False,
        comment="whether the settings want it; the history of one that they do not stays",
    ),
    Column("next_at", Instant, nullable=False),
    Column("leased_until", Instant),
    Column("tried_at", Instant),
    Column("verdict", Text),
    Column("reason", Text),
    Column("failures", Integer, nullable=False),
    Column("good_at", Instant),
    Column("rows", Integer),
)

trend_names = Table(
    "trend_names",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("language", Text),
    Column("url", Text),
    Column("spam", Text, comment="why it counts for nothing; null where it counts"),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False, comment="within the hour: it is not written for each reading"),
)

trend_readings = Table(
    "trend_readings",
    metadata,
    Column("source_id", SmallInteger, primary_key=True),
    Column("bucket_at", Instant, primary_key=True),
    Column("observed_at", Instant, nullable=False),
    Column("rows", SmallInteger, nullable=False),
    Column(
        "answers",
        SmallInteger,
        nullable=False,
        comment="how many were written for the instant, each in the place of an older one",
    ),
)

trend_snapshots = Table(
    "trend_snapshots",
    metadata,
    Column("source_id", SmallInteger, primary_key=True),
    Column("bucket_at", Instant, primary_key=True),
    Column("name_id", BigInteger, primary_key=True),
    Column("rank", SmallInteger, nullable=False),
    Column("promoted", Boolean, nullable=False),
    Column("volume", BigInteger),
)

trend_scores = Table(
    "trend_scores",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("name_id", BigInteger, nullable=False),
    Column("score", Double, nullable=False),
    Column("parts", Json, nullable=False),
    Column("sources", ARRAY(Text), nullable=False),
    Column("scored_at", Instant, nullable=False),
    Column(
        "rising_since", Instant, comment="since when its score has been high enough to be told; null where it is not"
    ),
)


@dataclass(frozen=True, slots=True)
class Source:
    """A source that was taken to be read; it has failed so often in a row."""

    id: int
    name: str
    place: str
    failures: int


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is kept: `name` is the canonical one."""

    name: str
    cluster: str
    shown: str
    kind: str
    language: str | None = None
    url: str | None = None
    spam: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a reading; each canonical name stands in a reading once."""

    name: Name
    rank: int
    volume: int | None = None
    promoted: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source said for `bucket_at`, at `observed_at`."""

    source_id: int
    bucket_at: datetime
    observed_at: datetime
    rows: Sequence[Row]


_PREPARE = text(
    """
    INSERT INTO trend_sources (name, place, class)
    SELECT name, place, :class FROM unnest(CAST(:names AS text[]), CAST(:places AS text[])) AS one (name, place)
    ORDER BY name, place
    ON CONFLICT (name, place) DO UPDATE SET class = excluded.class, wanted = true
        WHERE (trend_sources.class, trend_sources.wanted) IS DISTINCT FROM (excluded.class, true)
    """
)
_FORGO = text(
    """
    UPDATE trend_sources SET wanted = false WHERE class = :class AND wanted AND (name, place) NOT IN (
        SELECT * FROM unnest(CAST(:names AS text[]), CAST(:places AS text[])))
    """
)


async def want(session: AsyncSession, kind: str, wanted: Sequence[tuple[str, str]]) -> None:
    """Know these sources of a class, each a name and a place, and want no others of it."""
    given = {"class": kind, "names": [name for name, _ in wanted], "places": [place for _, place in wanted]}
    await session.execute(_FORGO, given)
    await session.execute(_PREPARE, given)


_TAKE = text(
    """
    UPDATE trend_sources AS source SET leased_until = app_now() + :lease FROM (
        SELECT id FROM trend_sources
        WHERE class = :class AND wanted AND next_at <= app_now() AND coalesce(leased_until <= app_now(), true)
        ORDER BY id FOR UPDATE SKIP LOCKED
    ) AS due WHERE source.id = due.id
    RETURNING source.id, source.name, source.place, source.failures
    """
)


async def take_due(session: AsyncSession, kind: str, lease: timedelta) -> Sequence[Source]:
    """Sources of a class that are due; others leave them alone until they are read or the lease is over."""
    found = await session.execute(_TAKE, {"class": kind, "lease": lease})
    return sorted((Source(**values(row)) for row in found), key=lambda source: source.id)


_GOOD = text(
    """
    UPDATE trend_sources SET verdict = 'ok', reason = null, failures = 0, tried_at = :at, good_at = :at, rows = :rows,
        next_at = :next_at, leased_until = null WHERE id = :id
    """
)
_BAD = text(
    """
    UPDATE trend_sources SET verdict = :verdict, reason = :reason, failures = failures + 1, tried_at = :at,
        next_at = :next_at, leased_until = null WHERE id = :id
    """
)


async def note_good(session: AsyncSession, source_id: int, at: datetime, rows: int, next_at: datetime) -> None:
    """A source was read well."""
    await session.execute(_GOOD, {"id": source_id, "at": at, "rows": rows, "next_at": next_at})


async def note_bad(
    session: AsyncSession, source_id: int, at: datetime, verdict: str, reason: str, next_at: datetime
) -> None:
    """A source gave nothing that counts; when it was good last stays."""
    given = {"id": source_id, "at": at, "verdict": verdict, "reason": reason, "next_at": next_at}
    await session.execute(_BAD, given)


@dataclass(frozen=True, slots=True)
class Health:
    """How a source stands: `good_at` and `rows` are of its last good reading, the rest of its last one."""

    id: int
    name: str
    place: str
    source_class: str
    next_at: datetime
    tried_at: datetime | None
    verdict: str | None
    reason: str | None
    failures: int
    good_at: datetime | None
    rows: int | None


async def health(session: AsyncSession) -> Sequence[Health]:
    """Every source that the settings want."""
    found = await session.execute(
        text(
            "SELECT id, name, place, class AS source_class, next_at, tried_at, verdict, reason, failures, good_at, rows"
            " FROM trend_sources WHERE wanted ORDER BY class, name, place"
        )
    )
    return [Health(**values(row)) for row in found]


_NEW_NAMES = text(
    """
    INSERT INTO trend_names AS kept (name, cluster, shown, kind, language, url, spam, first_seen_at, last_seen_at)
    SELECT *
    FROM unnest(CAST(:name AS text[]), CAST(:cluster AS text[]), CAST(:shown AS text[]), CAST(:kind AS text[]),
        CAST(:language AS text[]), CAST(:url AS text[]), CAST(:spam AS text[]), CAST(:first AS timestamptz[]),
        CAST(:last AS timestamptz[])) AS one (name, cluster, shown, kind, language, url, spam, first, last)
    ORDER BY name
    ON CONFLICT (name) DO UPDATE SET
        first_seen_at = least(kept.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(kept.last_seen_at, excluded.last_seen_at),
        shown = excluded.shown, kind = excluded.kind, language = coalesce(excluded.language, kept.language),
        url = coalesce(excluded.url, kept.url), spam = excluded.spam
    RETURNING id, name
    """
)
# A name that was seen within this time is not written again.
SEEN_AGAIN = timedelta(hours=1)


async def name_ids(session: AsyncSession, seen: Mapping[Name, tuple[datetime, datetime]]) -> Mapping[str, int]:
    """Ids by canonical name, of names that were seen at first and at last at these instants; new ones are made."""
    found = await session.execute(
        text("SELECT id, name, first_seen_at, last_seen_at FROM trend_names WHERE name = ANY(:names)"),
        {"names": [one.name for one in seen]},
    )
    known = {row.name: row for row in found}
    ids = {name: int(row.id) for name, row in known.items()}
    stale = {
        one: (first, last)
        for one, (first, last) in seen.items()
        if (row := known.get(one.name)) is None or first < row.first_seen_at or last > row.last_seen_at + SEEN_AGAIN
    }
    if stale:
        fields = ("name", "cluster", "shown", "kind", "language", "url", "spam")
        given: dict[str, Any] = {field: [getattr(one, field) for one in stale] for field in fields}
        given |= {"first": [first for first, _ in stale.values()], "last": [last for _, last in stale.values()]}
        ids |= {row.name: int(row.id) for row in await session.execute(_NEW_NAMES, given)}
    return ids


_LOCK_READINGS = text(
    """
    INSERT INTO trend_readings AS kept (source_id, bucket_at, observed_at, rows, answers)
    SELECT *, 1 FROM unnest(CAST(:sources AS smallint[]), CAST(:buckets AS timestamptz[]),
        CAST(:observed AS timestamptz[]), CAST(:rows AS smallint[])) AS one (source_id, bucket_at, observed_at, rows)
    ORDER BY source_id, bucket_at
    ON CONFLICT (source_id, bucket_at) DO UPDATE SET observed_at = excluded.observed_at, rows = excluded.rows,
        answers = kept.answers + 1
        WHERE excluded.observed_at > kept.observed_at
    RETURNING source_id, bucket_at, answers = 1 AS is_new
    """
)
_CLEAR = text(
    """
    DELETE FROM trend_snapshots AS old
    USING unnest(CAST(:sources AS smallint[]), CAST(:buckets AS timestamptz[])) AS one (source_id, bucket_at)
    WHERE old.source_id = one.source_id AND old.bucket_at = one.bucket_at
    """
)
_COPY = "COPY trend_snapshots (source_id, bucket_at, name_id, rank, promoted, volume) FROM STDIN (FORMAT BINARY)"
_COPY_TYPES = ("int2", "timestamptz", "int8", "int2", "bool", "int8")


async def add(session: AsyncSession, readings: Sequence[Reading]) -> int:
    """Write readings; one that is there already, or is older than what is there, changes nothing.

    A newer answer for the same instant takes the place of the whole older one. Answers how many rows were written. At
    most one reading of a source and instant in a call.
    """
    if not readings:
        return 0
    wanted = {(one.source_id, one.bucket_at): one for one in readings}
    # Before whatever else: who has these rows has the readings until the transaction ends.
    locked = await session.execute(
        _LOCK_READINGS,
        {
            "sources": [one.source_id for one in wanted.values()],
            "buckets": [one.bucket_at for one in wanted.values()],
            "observed": [one.observed_at for one in wanted.values()],
            "rows": [len(one.rows) for one in wanted.values()],
        },
    )
    is_new = {(row.source_id, row.bucket_at): row.is_new for row in locked}
    if old := [key for key, new in is_new.items() if not new]:
        await session.execute(_CLEAR, {"sources": [key[0] for key in old], "buckets": [key[1] for key in old]})
    written = [wanted[key] for key in is_new]
    ids = await name_ids(session, _seen(written))
    connection: AsyncConnection[Any] = (await (await session.connection()).get_raw_connection()).driver_connection  # type: ignore[assignment]
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_COPY_TYPES)
        for row in _snapshots(written, ids):
            await copy.write_row(row)
    return sum(len(one.rows) for one in written)


def _seen(readings: Sequence[Reading]) -> Mapping[Name, tuple[datetime, datetime]]:
    """Names of readings, each as it was seen last, and when it was at first and at last."""
    found: dict[str, tuple[Name, datetime, datetime]] = {}
    for reading in readings:
        at = reading.bucket_at
        for row in reading.rows:
            known = found.get(row.name.name)
            if known is None:
                found[row.name.name] = (row.name, at, at)
            elif at > known[2]:
                found[row.name.name] = (row.name, known[1], at)
            elif at < known[1]:
                found[row.name.name] = (known[0], at, known[2])
    return {name: (first, last) for name, first, last in found.values()}


def _snapshots(readings: Sequence[Reading], ids: Mapping[str, int]) -> Iterable[tuple[Any, ...]]:
    for reading in readings:
        for row in reading.rows:
            yield reading.source_id, reading.bucket_at, ids[row.name.name], row.rank, row.promoted, row.volume


@dataclass(frozen=True, slots=True)
class CurrentSource:
    """A source whose newest list counts: when that was, and since when its lists are known."""

    id: int
    name: str
    place: str
    newest_at: datetime
    known_since: datetime


async def current_sources(session: AsyncSession, good_since: datetime) -> Sequence[CurrentSource]:
    """Sources that were read well when they were last tried, or not long ago."""
    found = await session.execute(
        text(
            "SELECT source.id, source.name, source.place, max(reading.bucket_at) AS newest_at,"
            " min(reading.bucket_at) AS known_since"
            " FROM trend_sources AS source JOIN trend_readings AS reading ON reading.source_id = source.id"
            " WHERE source.wanted AND (source.verdict = 'ok' OR source.good_at >= :since)"
            " GROUP BY source.id ORDER BY source.id"
        ),
        {"since": good_since},
    )
    return [CurrentSource(**values(row)) for row in found]


_LISTED = text(
    """
    WITH reading AS (
        SELECT source_id, bucket_at, row_number() OVER (ORDER BY bucket_at DESC) AS back,
            extract(epoch FROM :newest - bucket_at) AS age
        FROM trend_readings
        WHERE source_id = :source_id AND bucket_at <= :newest
            AND bucket_at >= :newest - make_interval(days => :days, hours => 1)
    )
    SELECT bucket_at, name_id, rank, volume FROM reading JOIN trend_snapshots USING (source_id, bucket_at)
    WHERE NOT promoted AND (back <= :readings OR age - 86400 * floor(age / 86400) < :hour)
    ORDER BY bucket_at
    """
)


async def listed(
    session: AsyncSession, source: CurrentSource, readings: int, days: int, hour: timedelta
) -> Sequence[Any]:
    """What stood on the newest `readings` lists of a source, and on those of the same `hour` of so many days before.

    Rows of bucket_at, name_id, rank and volume, the oldest list first, without what was paid for.
    """
    given = {
        "source_id": source.id,
        "newest": source.newest_at,
        "readings": readings,
        "days": days,
        "hour": hour.total_seconds(),
    }
    return (await session.execute(_LISTED, given)).all()


@dataclass(frozen=True, slots=True)
class Known:
    """A name by its id; `first_seen_at` is when any spelling of its cluster was seen first."""

    id: int
    cluster: str
    shown: str
    kind: str
    spam: str | None
    first_seen_at: datetime


async def known(session: AsyncSession, ids: Sequence[int]) -> Sequence[Known]:
    """What is known of these names."""
    found = await session.execute(
        text(
            "SELECT id, cluster, shown, kind, spam, (SELECT min(other.first_seen_at) FROM trend_names AS other"
            " WHERE other.cluster = name.cluster) AS first_seen_at"
            " FROM trend_names AS name WHERE id = ANY(:ids) ORDER BY id"
        ),
        {"ids": list(ids)},
    )
    return [Known(**values(row)) for row in found]


async def lock_scores(session: AsyncSession) -> None:
    """Wait until nobody else scores, and keep others from it until the transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.TRENDS})


async def rising(session: AsyncSession) -> frozenset[str]:
    """Clusters that rose when they were scored last."""
    found = await session.execute(text("SELECT cluster FROM trend_scores WHERE rising_since IS NOT NULL"))
    return frozenset(found.scalars())


@dataclass(frozen=True, slots=True)
class Score:
    """What a trend amounts to; `parts` are its parts as they are kept."""

    cluster: str
    name_id: int
    score: float
    parts: Sequence[Mapping[str, Any]]
    sources: Sequence[str]
    rising: bool


_SCORE = text(
    """
    INSERT INTO trend_scores AS kept (cluster, name_id, score, parts, sources, scored_at, rising_since)
    SELECT cluster, name_id, score, parts, ARRAY(SELECT jsonb_array_elements_text(sources)), :at,
        CASE WHEN rising THEN :at END
    FROM jsonb_to_recordset(CAST(:scores AS jsonb))
        AS one (cluster text, name_id bigint, score double precision, parts jsonb, sources jsonb, rising boolean)
    ORDER BY cluster
    ON CONFLICT (cluster) DO UPDATE SET name_id = excluded.name_id, score = excluded.score, parts = excluded.parts,
        sources = excluded.sources, scored_at = excluded.scored_at,
        rising_since = CASE WHEN excluded.rising_since IS NOT NULL
            THEN coalesce(kept.rising_since, excluded.rising_since) END
    """
)


async def write_scores(session: AsyncSession, scores: Sequence[Score], at: datetime, kept: timedelta) -> None:
    """Write what trends amount to at an instant; what is on no list any more goes after a while."""
    given = json.dumps([asdict(one) for one in scores])
    await session.execute(_SCORE, {"scores": given, "at": at})
    await session.execute(text("DELETE FROM trend_scores WHERE scored_at < :before"), {"before": at - kept})


@dataclass(frozen=True, slots=True)
class Trend:
    """A trend as it stands."""

    cluster: str
    name: str
    shown: str
    kind: str
    language: str | None
    url: str | None
    score: float
    parts: Sequence[Mapping[str, Any]]
    sources: Sequence[str]
    first_seen_at: datetime
    rising_since: datetime | None
    scored_at: datetime


# A named one is found for a while after it has left every list.
_CURRENT = text(
    """
    SELECT score.cluster, name.name, name.shown, name.kind, name.language, name.url, score.score, score.parts,
        score.sources, (SELECT min(other.first_seen_at) FROM trend_names AS other
            WHERE other.cluster = score.cluster) AS first_seen_at, score.rising_since, score.scored_at
    FROM trend_scores AS score JOIN trend_names AS name ON name.id = score.name_id
    WHERE CASE WHEN CAST(:cluster AS text) IS NULL
        THEN score.scored_at = (SELECT max(scored_at) FROM trend_scores)
            AND (NOT :only_rising OR score.rising_since IS NOT NULL)
        ELSE score.cluster = :cluster END
    ORDER BY score.score DESC, score.cluster LIMIT :limit
    """
)


async def current(session: AsyncSession, limit: int, only_rising: bool) -> Sequence[Trend]:
    """Trends that stood on a list when they were scored last, the highest score first."""
    given = {"cluster": None, "limit": limit, "only_rising": only_rising}
    return [Trend(**values(row)) for row in await session.execute(_CURRENT, given)]


async def one(session: AsyncSession, cluster: str) -> Trend | None:
    """A trend that was scored lately."""
    given = {"cluster": cluster, "limit": 1, "only_rising": False}
    row = (await session.execute(_CURRENT, given)).first()
    return None if row is None else Trend(**values(row))


@dataclass(frozen=True, slots=True)
class Stood:
    """Where a name stood on a list."""

    source: str
    shown: str
    bucket_at: datetime
    rank: int
    length: int
    volume: int | None
    promoted: bool


_COURSE = text(
    """
    SELECT source.name || ':' || source.place AS source, name.shown, snapshot.bucket_at, snapshot.rank,
        reading.rows AS length, snapshot.volume, snapshot.promoted
    FROM trend_readings AS reading JOIN trend_sources AS source ON source.id = reading.source_id
    CROSS JOIN trend_names AS name
    JOIN trend_snapshots AS snapshot ON snapshot.source_id = reading.source_id
        AND snapshot.bucket_at = reading.bucket_at AND snapshot.name_id = name.id
    WHERE name.cluster = :cluster AND reading.bucket_at >= :since
    ORDER BY source.name, source.place, snapshot.bucket_at
    """
)


async def course(session: AsyncSession, cluster: str, since: datetime) -> Sequence[Stood]:
    """Where the names of a cluster stood on every list since an instant, source by source, the oldest list first."""
    return [Stood(**values(row)) for row in await session.execute(_COURSE, {"cluster": cluster, "since": since})]


async def drop_names(session: AsyncSession, before: date) -> None:
    """Forget names that were seen last before a day; the lists that they stood on are dropped by then."""
    since = datetime.combine(before, time(), UTC)
    await session.execute(
        text(
            "DELETE FROM trend_names WHERE last_seen_at < :since"
            " AND NOT EXISTS (SELECT 1 FROM trend_scores WHERE trend_scores.name_id = trend_names.id)"
        ),
        {"since": since},
    )


_FRESH = text(
    """
    SELECT shown, first_seen_at FROM trend_names
    WHERE last_seen_at > app_now() - :young AND first_seen_at > app_now() - :young AND spam IS NULL
        AND kind IN ('tag', 'query', 'topic')
        AND EXISTS (SELECT 1 FROM trend_names WHERE first_seen_at <= app_now() - :young)
    """
)


async def fresh(session: AsyncSession, young: timedelta) -> Mapping[str, datetime]:
    """Names first seen within this time, and when; none before names were looked at for so long, because until then
    every name is new. Headlines are no names."""
    return {row.shown: row.first_seen_at for row in await session.execute(_FRESH, {"young": young})}
