"""The figures that Prometheus reads: what each is called, what it means, and where it comes from.

A new figure is a line in METRICS. Names and units follow Prometheus' conventions; labels are bounded: what there is one
of for each bot stands in PER_BOT, and is told only where `monitoring.per_bot` says so.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal, get_args

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from blocks.prefect_api import PrefectError
from blocks.vault.errors import VaultError
from deployments.local import board
from deployments.local.board import Note, PartNote
from tasks.connections import Connections
from tasks.domain.notifications import Kind as ChannelKind
from tasks.domain.posts import Cause, Ended
from tasks.domain.today import Some
from tasks.operations import monitoring, signing_keys
from tasks.operations.monitoring import LATENESS_SECONDS, Counts, Runs
from tasks.operations.stops import Scope

Kind = Literal["gauge", "counter", "histogram"]
Samples = Iterable[tuple[tuple[str, ...], float]]

OUTCOMES = ("published", "refused", "expired", "unknown")
BOT_STATES = ("active", "paused", "needs_login", "suspended", "retired")
VAULT_SECONDS = 2.0
OPEN_METRICS = "application/openmetrics-text"

log = logging.getLogger("vivesphere.debug")


@dataclass(frozen=True)
class Told:
    """Everything there is to tell now; what could not be asked for is None, and its figures are left out."""

    up: Mapping[str, bool]
    counts: Counts | None
    runs: Runs | None
    stack: Note | None
    counting_seconds: float


@dataclass(frozen=True)
class Figure:
    """One metric: its name without the suffix that its kind brings, its labels, and how its samples are read."""

    name: str
    kind: Kind
    means: str
    labels: tuple[str, ...]
    read: Callable[[Told], Samples]

    @property
    def exported(self) -> str:
        """The name as Prometheus knows it; a histogram has `_bucket`, `_sum` and `_count` behind it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _of_counts(read: Callable[[Counts], Samples]) -> Callable[[Told], Samples]:
    return lambda told: read(told.counts) if told.counts else ()


def _of_runs(read: Callable[[Runs], Samples]) -> Callable[[Told], Samples]:
    return lambda told: read(told.runs) if told.runs else ()


def _of_parts(read: Callable[[PartNote], float]) -> Callable[[Told], Samples]:
    """Of each part that has a process, or should; what is done once and for all is none."""
    return lambda told: (
        [((name,), read(part)) for name, part in sorted(told.stack.parts.items()) if part.state != "done"]
        if told.stack
        else ()
    )


def _one(value: float) -> Samples:
    return [((), value)]


def _by(counted: Mapping[str, float], known: tuple[str, ...]) -> Samples:
    """A sample for each known word, 0 where nothing was counted: a series that is absent raises no alarm."""
    return [((word,), counted.get(word, 0)) for word in (*known, *sorted(counted.keys() - set(known)))]


def _age(counts: Counts, some: Some) -> Samples:
    return _one((counts.now - some.oldest).total_seconds() if some.oldest else 0)


def _doubtful(counts: Counts, status: str) -> Some:
    return counts.doubtful.get(status, Some())


def _unsealed(counts: Counts) -> Some:
    return Some(counts.sealing.waiting, counts.sealing.oldest)


METRICS: tuple[Figure, ...] = (
    Figure(
        "vivesphere_build_info",
        "gauge",
        "Always 1; the label names the release.",
        ("version",),
        lambda told: [((version("vivesphere"),), 1)],
    ),
    # The stack.
    Figure(
        "vivesphere_dependency_up",
        "gauge",
        "Whether the gateway got an answer from it: database, vault, prefect.",
        ("dependency",),
        lambda told: [((name,), float(is_up)) for name, is_up in told.up.items()],
    ),
    Figure(
        "vivesphere_supervisor_up",
        "gauge",
        "Whether the supervisor of this machine's stack runs; absent where there is none.",
        (),
        lambda told: _one(float(told.stack.supervisor.alive)) if told.stack else (),
    ),
    Figure(
        "vivesphere_part_up",
        "gauge",
        "Whether a part that the supervisor keeps has a living process that served when it was last started.",
        ("part",),
        _of_parts(lambda part: float(part.state == "up" and part.process is not None and part.process.alive)),
    ),
    Figure(
        "vivesphere_part_restarts",
        "counter",
        "How often the supervisor has started a part again since it began.",
        ("part",),
        _of_parts(lambda part: part.restarts),
    ),
    Figure(
        "vivesphere_workers_online",
        "gauge",
        "Workers of our work pool whose heartbeat Prefect's server has heard lately.",
        (),
        _of_runs(lambda runs: _one(runs.workers_online)),
    ),
    # Posting.
    Figure(
        "vivesphere_posts",
        "counter",
        "Posts by outcome: published, refused, expired, or unknown, which is settled later and counts again then.",
        ("outcome",),
        _of_counts(lambda counts: _by(counts.tally.posts, OUTCOMES)),
    ),
    Figure(
        "vivesphere_publish_attempts",
        "counter",
        "Requests to create a post, by how they ended.",
        ("outcome",),
        _of_counts(lambda counts: _by(counts.tally.attempts, get_args(Ended))),
    ),
    Figure(
        "vivesphere_post_lateness_seconds",
        "histogram",
        "From the planned instant of a published post to the first byte at X.",
        (),
        lambda told: (),
    ),
    Figure(
        "vivesphere_posts_due",
        "gauge",
        "The queue: posts whose instant has come and that were not sent, of bots that may speak.",
        (),
        _of_counts(lambda counts: _one(counts.due.count)),
    ),
    Figure(
        "vivesphere_oldest_due_post_seconds",
        "gauge",
        "For how long the oldest of them has been due; 0 where none is.",
        (),
        _of_counts(lambda counts: _age(counts, counts.due)),
    ),
    Figure(
        "vivesphere_posts_silenced",
        "gauge",
        "Posts that are due of bots that may not speak: stopped, paused, without a login, or silenced by a breaker.",
        (),
        _of_counts(lambda counts: _one(counts.silenced.count)),
    ),
    Figure(
        "vivesphere_posts_due_within_hour",
        "gauge",
        "Posts that fall due within the next hour.",
        (),
        _of_counts(lambda counts: _one(counts.due_soon)),
    ),
    Figure(
        "vivesphere_posts_unknown",
        "gauge",
        "Posts whose answer was lost and that are being looked for.",
        (),
        _of_counts(lambda counts: _one(_doubtful(counts, "unknown").count)),
    ),
    Figure(
        "vivesphere_oldest_unknown_post_seconds",
        "gauge",
        "For how long the oldest of them has been unknown; 0 where none is.",
        (),
        _of_counts(lambda counts: _age(counts, _doubtful(counts, "unknown"))),
    ),
    Figure(
        "vivesphere_posts_held",
        "gauge",
        "Posts of which nobody can prove whether they are out: a person settles them.",
        (),
        _of_counts(lambda counts: _one(_doubtful(counts, "held").count)),
    ),
    Figure(
        "vivesphere_oldest_held_post_seconds",
        "gauge",
        "For how long the oldest of them has been held; 0 where none is.",
        (),
        _of_counts(lambda counts: _age(counts, _doubtful(counts, "held"))),
    ),
    Figure(
        "vivesphere_publish_attempts_open",
        "gauge",
        "Requests to create a post that have no outcome yet.",
        (),
        _of_counts(lambda counts: _one(counts.open_attempts)),
    ),
    Figure(
        "vivesphere_senders_alive",
        "gauge",
        "Posting runs that said lately that they live; two are normal.",
        (),
        _of_counts(lambda counts: _one(counts.senders_alive)),
    ),
    # Bots and what silences them.
    Figure(
        "vivesphere_bots",
        "gauge",
        "Bots by state.",
        ("state",),
        _of_counts(lambda counts: _by(counts.bots, BOT_STATES)),
    ),
    Figure(
        "vivesphere_stops",
        "gauge",
        "Stops in force, by what they silence.",
        ("scope",),
        _of_counts(lambda counts: _by(counts.stops, get_args(Scope))),
    ),
    Figure(
        "vivesphere_breakers_open",
        "gauge",
        "Breakers that are open, by what X said.",
        ("cause",),
        _of_counts(lambda counts: _by(counts.breakers, get_args(Cause))),
    ),
    # Money and X's limits.
    Figure(
        "vivesphere_app_spend_usd",
        "gauge",
        "What an app has spent or reserved in this month (UTC).",
        ("app",),
        _of_counts(lambda counts: [((one.app,), float(one.spent_usd)) for one in counts.money]),
    ),
    Figure(
        "vivesphere_app_budget_usd",
        "gauge",
        "What an app may spend in a month; absent where nothing was set.",
        ("app",),
        _of_counts(
            lambda counts: [((one.app,), float(one.budget_usd)) for one in counts.money if one.budget_usd is not None]
        ),
    ),
    Figure(
        "vivesphere_app_limit_requests",
        "gauge",
        "How many requests X takes of an app within its window, by endpoint.",
        ("app", "endpoint"),
        _of_counts(lambda counts: [((one.app, one.endpoint), one.most) for one in counts.app_room]),
    ),
    Figure(
        "vivesphere_app_limit_left_requests",
        "gauge",
        "How many of them are left, by our count or by X's word where that is less.",
        ("app", "endpoint"),
        _of_counts(lambda counts: [((one.app, one.endpoint), one.left) for one in counts.app_room]),
    ),
    Figure(
        "vivesphere_busiest_bot_limit_requests",
        "gauge",
        "How many posts X takes of one bot within its window.",
        (),
        _of_counts(lambda counts: _one(counts.bot_most)),
    ),
    Figure(
        "vivesphere_busiest_bot_limit_left_requests",
        "gauge",
        "How many of them are left to the bot that has posted most.",
        (),
        _of_counts(lambda counts: _one(counts.bot_left)),
    ),
    # Credentials and the audit.
    Figure(
        "vivesphere_credentials_ended",
        "gauge",
        "Credentials that should serve and have ended, by kind.",
        ("kind",),
        _of_counts(lambda counts: [((one.kind,), one.ended) for one in counts.expiries]),
    ),
    Figure(
        "vivesphere_credential_first_end_timestamp_seconds",
        "gauge",
        "When the first of those that serve ends, by kind; access tokens of X are renewed minutes before.",
        ("kind",),
        _of_counts(
            lambda counts: [((one.kind,), one.first_end.timestamp()) for one in counts.expiries if one.first_end]
        ),
    ),
    Figure(
        "vivesphere_audit_unsealed_rows",
        "gauge",
        "Rows of the audit that wait for a seal.",
        (),
        _of_counts(lambda counts: _one(_unsealed(counts).count)),
    ),
    Figure(
        "vivesphere_oldest_unsealed_audit_row_seconds",
        "gauge",
        "For how long the oldest of them has waited; 0 where none does.",
        (),
        _of_counts(lambda counts: _age(counts, _unsealed(counts))),
    ),
    # Runs.
    Figure(
        "vivesphere_flow_runs",
        "gauge",
        "Runs under way on our work pool, by state; late ones wait for a worker.",
        ("state",),
        _of_runs(lambda runs: [((state,), count) for state, count in runs.under_way.items()]),
    ),
    Figure(
        "vivesphere_flow_runs_ended",
        "counter",
        "Runs that ended, by deployment and state.",
        ("deployment", "state"),
        _of_runs(
            lambda runs: [
                ((name, state), runs.tally.ended[name, state])
                for name in sorted(runs.tally.names.values())
                for state in ("completed", "failed", "crashed", "cancelled")
            ]
        ),
    ),
    Figure(
        "vivesphere_deployment_last_completed_timestamp_seconds",
        "gauge",
        "When a run of a deployment last came to a good end; absent where none has.",
        ("deployment",),
        _of_runs(
            lambda runs: [((name,), ended.timestamp()) for name, ended in sorted(runs.tally.completed_at.items())]
        ),
    ),
    Figure(
        "vivesphere_notifications",
        "counter",
        "Messages to operators that were sent or given up, by the kind of channel.",
        ("channel_kind", "state"),
        _of_counts(
            lambda counts: [
                ((kind, state), counts.tally.notifications[kind, state])
                for kind in get_args(ChannelKind)
                for state in ("sent", "failed")
            ]
        ),
    ),
    # Trends.
    Figure(
        "vivesphere_trend_source_failures",
        "gauge",
        "How often in a row a source of trends gave nothing that counts; 0 is a good one.",
        ("source",),
        _of_counts(lambda counts: [((f"{one.name}:{one.place}",), one.failures) for one in counts.trend_sources]),
    ),
    Figure(
        "vivesphere_trend_source_last_good_timestamp_seconds",
        "gauge",
        "When a source of trends was read well last; absent where it never was.",
        ("source",),
        _of_counts(
            lambda counts: [
                ((f"{one.name}:{one.place}",), one.good_at.timestamp()) for one in counts.trend_sources if one.good_at
            ]
        ),
    ),
    Figure(
        "vivesphere_trends_rising",
        "gauge",
        "Trends that rise.",
        (),
        _of_counts(lambda counts: _one(counts.trends_rising)),
    ),
    Figure(
        "vivesphere_counting_seconds",
        "gauge",
        "How long it took to count these figures in the database.",
        (),
        lambda told: _one(told.counting_seconds) if told.counts else (),
    ),
)

PER_BOT: tuple[Figure, ...] = (
    Figure(
        "vivesphere_bot_posts",
        "counter",
        "Posts of a bot by outcome.",
        ("bot", "outcome"),
        _of_counts(lambda counts: sorted(counts.tally.posts_of_bots.items())),
    ),
    Figure(
        "vivesphere_bot_token_end_timestamp_seconds",
        "gauge",
        "When the access token of a bot that may speak ends; it is renewed minutes before.",
        ("bot",),
        _of_counts(
            lambda counts: [((bot,), ends.timestamp()) for bot, ends in sorted((counts.token_ends or {}).items())]
        ),
    ),
)


@dataclass
class _Fresh:
    """Something that is asked for at most every few seconds, whoever wants it, by one at a time."""

    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked_at: float = float("-inf")
    found: Any = None

    async def get(self, seconds: float, ask: Callable[[], Any]) -> Any:
        async with self.asking:
            if time.monotonic() - self.asked_at >= seconds:
                self.found = await ask()
                self.asked_at = time.monotonic()
            return self.found


@dataclass
class _Kept:
    """What this process told last."""

    counts: _Fresh = field(default_factory=_Fresh)
    runs: _Fresh = field(default_factory=_Fresh)
    vault: _Fresh = field(default_factory=_Fresh)


async def written(at: Connections, accept: str) -> tuple[bytes, str]:
    """Every figure in the format that a reader accepts, and the name of that format."""
    told = await _told(at)
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(_Families(told, per_bot=at.places.settings.monitoring.per_bot))
    # Of the two formats one is named to the library: it stumbles over versions that nobody can read.
    encode, media_type = choose_encoder(f"{OPEN_METRICS}; version=1.0.0" if OPEN_METRICS in accept else "")
    return encode(registry), media_type


class _Families(Collector):
    def __init__(self, told: Told, *, per_bot: bool) -> None:
        self._told = told
        self._figures = (*METRICS, *PER_BOT) if per_bot else METRICS

    def collect(self) -> Iterator[Metric]:
        return (_family(figure, self._told) for figure in self._figures)


def _family(figure: Figure, told: Told) -> Metric:
    if figure.kind == "histogram":
        return _lateness(figure, told)
    make = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
    family = make(figure.name, figure.means, labels=figure.labels)
    for labels, value in figure.read(told):
        family.add_metric(labels, value)
    return family


def _lateness(figure: Figure, told: Told) -> Metric:
    family = HistogramMetricFamily(figure.name, figure.means)
    if told.counts is not None:
        lateness = told.counts.tally.lateness
        buckets, below = [], 0
        for bound in (*LATENESS_SECONDS, float("inf")):
            below += lateness.buckets[bound]
            buckets.append(("+Inf" if bound == float("inf") else str(bound), below))
        family.add_metric((), buckets, lateness.seconds)
    return family


async def _told(at: Connections) -> Told:
    kept, settings = at.kept(_Kept, _Kept), at.places.settings.monitoring
    (counts, took), runs, vault = await asyncio.gather(
        kept.counts.get(settings.fresh_seconds, lambda: _counts(at)),
        kept.runs.get(settings.runs_seconds, lambda: _runs(at)),
        kept.vault.get(settings.fresh_seconds, lambda: _vault_answers(at)),
    )
    up = {"database": counts is not None, "vault": vault, "prefect": runs is not None}
    return Told(up, counts, runs, await asyncio.to_thread(board.read, at.places.home), took)


async def _counts(at: Connections) -> tuple[Counts | None, float]:
    began = time.monotonic()
    try:
        found = await monitoring.count(at)
    except (SQLAlchemyError, OSError, VaultError) as error:
        log.warning("figures for Prometheus were not counted: %s", type(error).__name__)
        found = None
    return found, time.monotonic() - began


async def _runs(at: Connections) -> Runs | None:
    try:
        return await monitoring.runs(at)
    except (PrefectError, OSError) as error:
        log.warning("Prefect's server did not say how its runs are: %s", error)
        return None


async def _vault_answers(at: Connections) -> bool:
    try:
        async with asyncio.timeout(VAULT_SECONDS):
            await asyncio.to_thread(at.kv.metadata, signing_keys.KEYS_PATH)
    except (TimeoutError, VaultError):
        return False
    return True
