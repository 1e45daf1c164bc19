"""The governor: places in X's windows and money are reserved before a request leaves, over all processes."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from config import loading, yaml_file
from tasks.connections import Connections
from tasks.domain.budget import KEPT_FOR_RECONCILIATION, KINDS, Prices
from tasks.domain.limits import Limits, counted_span, throttle_pause
from tasks.domain.posts import Outcome
from tasks.domain.roles import system
from tasks.operations import activity
from tasks.store import rate_windows, spend
from tasks.store.attempts import Room

CREATE = "POST /2/tweets"


@dataclass(frozen=True)
class Tables:
    """X's limits and prices, as `config` has them."""

    limits: Limits
    prices: Prices


def tables(at: Connections) -> Tables:
    """The tables of this process, read once."""
    return at.kept(Tables, _read)


def _read() -> Tables:
    folder = loading.APP_ROOT / "config"
    return Tables(
        Limits.model_validate(yaml_file.read(folder / "limits.yaml").data),
        Prices.model_validate(yaml_file.read(folder / "prices.yaml").data),
    )


def room_for_posts(at: Connections) -> Room:
    """What the mark may give out."""
    limits = tables(at).limits
    late = timedelta(seconds=at.places.settings.posting.give_up_seconds)
    bot, app = limits.of(CREATE, "user"), limits.of(CREATE, "app")
    if bot is None or app is None:
        raise LookupError(f"config/limits.yaml names no limit of {CREATE} per user or per app")
    return Room(
        bot_most=bot.most,
        bot_span=counted_span(bot, late),
        bot_words=bot.words,
        app_most=app.most,
        app_span=counted_span(app, late),
        app_words=app.words,
        money_share=1 - KEPT_FOR_RECONCILIATION,
    )


async def heed(at: Connections, session: AsyncSession, outcomes: Sequence[tuple[UUID, Outcome]]) -> None:
    """Lower what is given out by what X's answers say, given by bot, and note a limit that others use up with us."""
    left = [(bot_id, one) for bot_id, outcome in outcomes for one in outcome.left]
    if left:
        await rate_windows.tell(session, left, room_for_posts(at))
    throttled = {bot_id for bot_id, outcome in outcomes if outcome.ended == "throttled" and outcome.retry_at is None}
    if throttled:
        # X says neither for whom it is too many nor until when: each bot waits by itself, its other posts with it.
        first = timedelta(seconds=at.places.settings.posting.retry_seconds)
        refused = await rate_windows.throttled_for(session, list(throttled))
        pauses = {
            bot_id: throttle_pause(refused.get(bot_id, timedelta()), first, secrets.SystemRandom().random())
            for bot_id in throttled
        }
        await rate_windows.pause(session, pauses)
    for bot_id, outcome in outcomes:
        if outcome.ended == "throttled":
            await activity.remark(
                session, system("governor"), "limits.foreign_use", str(bot_id), "activity", said=outcome.said
            )


async def forget(at: Connections) -> None:
    """Drop counts that no window reaches any more."""
    async with at.transaction() as session:
        await rate_windows.forget(session, 2 * room_for_posts(at).app_span)


@dataclass(frozen=True)
class Granted:
    """The request may leave now; money for `resources` things is set aside."""

    endpoint: str
    app_id: UUID | None
    bot_id: UUID | None
    at: datetime
    resources: int


@dataclass(frozen=True)
class NotNow:
    """The request waits until then, and why."""

    until: datetime
    reason: str


async def reserve(
    at: Connections,
    app_id: UUID | None,
    bot_id: UUID | None,
    endpoint: str,
    resources: int = 1,
    reconciling: bool = False,
) -> Granted | NotNow:
    """A place for one request that is no post, and money for `resources` things that it may bring.

    It is a bot's window where `bot_id` is given, else the app's own. What looks for unknown posts is `reconciling`:
    the last 5 % of a window and of a month's money are its alone. Raises KeyError for an endpoint that is not in
    config/limits.yaml.
    """
    found, late = tables(at), timedelta(seconds=at.places.settings.posting.give_up_seconds)
    share = Decimal(1) if reconciling else 1 - KEPT_FOR_RECONCILIATION
    limit = found.limits.of(endpoint, "user" if bot_id else "app_only")
    kind = KINDS[endpoint]
    async with at.statement() as session:
        reserved = await rate_windows.reserve(
            session,
            app_id=app_id,
            bot_id=bot_id,
            endpoint=endpoint,
            most=int(limit.most * share) if limit else None,
            span=counted_span(limit, late) if limit else timedelta(),
            words=limit.words if limit else "",
            kind=kind,
            resources=resources,
            price=found.prices.usd[kind],
            money_share=share,
            lock_timeout_ms=at.places.settings.postgres.lock_timeout_ms,
        )
    if reserved.granted_at is None:
        return NotNow(reserved.waits_until, reserved.waits_because)  # type: ignore[arg-type]  # both or the other
    return Granted(endpoint, app_id, bot_id, reserved.granted_at, resources)


async def used(at: Connections, granted: Granted, resources: int) -> None:
    """Say how many things the answer brought: X bills those alone."""
    found = tables(at)
    unused = resources - granted.resources
    kind = KINDS[granted.endpoint]
    async with at.transaction() as session:
        await spend.book(
            session,
            granted.at,
            app_id=granted.app_id,
            bot_id=granted.bot_id,
            kind=kind,
            resources=unused,
            usd=unused * found.prices.usd[kind],
        )
