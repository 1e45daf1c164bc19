"""The outbox of one sender: takes claimed posts, marks each, sends it at its instant, writes down what came of it."""

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Literal
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.x.errors import Duplicate, NoAnswer, NotSent, Throttled, Unauthorized, XError
from blocks.x.limits import Limits, Window
from blocks.x.wire import CreateMedia, CreatePoll, CreatePost, CreateReply
from config.settings import Posting
from tasks.connections import Connections
from tasks.domain import clock
from tasks.domain.budget import cost_usd
from tasks.domain.posts import Ended, Left, NextStep, Outcome, after_attempt, on_resend, traceparent
from tasks.domain.turns import Turns
from tasks.operations import breakers, governor, marks
from tasks.operations.access_tokens import AccessToken
from tasks.operations.credentials import AccessTokens
from tasks.operations.patience import PASSING, pauses, ticks
from tasks.store import attempts, bots, credentials, looks
from tasks.store.attempts import Settled
from tasks.store.claims import ClaimedPost

log = logging.getLogger("vivesphere.debug")

# Marks and outcomes cost a commit each. While posts wait for lanes, this share of the lanes is marked ahead, so that a
# lane that comes free finds its next post marked; outcomes of this span are written down together.
AHEAD_SHARE = 0.5
SETTLE_SECONDS = 0.05
# Nothing is marked ahead while X is so slow that what waits for a lane could miss its start.
QUICK_SHARE = 0.1
# What X bills for, or may: what became of an unknown one X alone knows.
BILLED = ("accepted", "refused", "unknown")


@dataclass(frozen=True)
class Sent:
    """What became of one claimed post, for the pages and logs people read."""

    post_id: UUID
    handle: str
    planned_at: datetime
    status: str
    reason: str | None = None
    x_post_id: str | None = None
    first_byte_at: datetime | None = None
    usd: Decimal = Decimal(0)

    @property
    def lateness_seconds(self) -> float | None:
        """First byte at X minus planned instant; None where nothing was sent."""
        return (self.first_byte_at - self.planned_at).total_seconds() if self.first_byte_at else None


@dataclass(order=True)
class _Waiting:
    due_ticks: float
    order: int
    post: ClaimedPost = field(compare=False)
    token: AccessToken = field(compare=False)
    result: "asyncio.Future[Sent]" = field(compare=False)


class Outbox:
    """One sender's way out; `async with` it, and `put` what was claimed."""

    def __init__(self, at: Connections, sender: UUID, reading: clock.Reading) -> None:
        self._at = at
        self._sender = sender
        self._waiting: list[_Waiting] = []
        self._due: Turns[_Waiting] = Turns()
        self._order = count()
        self._under_way = 0
        self._answer_seconds = 0.0
        self._changed = asyncio.Event()
        self._answered: list[tuple[Settled, _Waiting]] = []
        self._has_answers = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._results: set[asyncio.Future[Sent]] = set()
        self._broken: BaseException | None = None
        self.clock = reading
        # Claims that nobody here will send, while the database knows nothing of it: their lease is renewed as long as
        # this sender lives, so that they have to be given back.
        self.left: list[UUID] = []

    async def __aenter__(self) -> "Outbox":
        self._start(self._pump())
        self._start(self._write_down())
        return self

    async def __aexit__(self, *raised: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @property
    def _settings(self) -> Posting:
        return self._at.places.settings.posting

    @property
    def held(self) -> int:
        """Posts that were put in and have no written outcome yet."""
        return len(self._results)

    def put(self, post: ClaimedPost, token: AccessToken) -> "asyncio.Future[Sent]":
        """Take one post; the future ends when its outcome is committed, or when it was given back."""
        result: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        if self._broken is not None:
            result.set_exception(self._broken)
            return result
        self._results.add(result)
        result.add_done_callback(self._results.discard)
        due = max(post.next_at, post.planned_at)
        heapq.heappush(self._waiting, _Waiting(self.clock.ticks_at(due), next(self._order), post, token, result))
        self._changed.set()
        return result

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A defect of ours must not leave a run waiting for ever: everything that waits fails with it."""
        self._running.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("the outbox broke", exc_info=error)
        self._broken = error
        for result in list(self._results):
            if not result.done():
                result.set_exception(error)

    async def _pump(self) -> None:
        span = self._settings.mark_span_seconds
        while True:
            batch = await self._gather(span)
            began = ticks()
            wanted = [(waiting.post, waiting.token.expires_at) for waiting in batch]
            marked = await marks.mark(self._at, self._sender, wanted, self.clock.instant_at(began))
            unmarked: list[_Waiting] = []
            for waiting in batch:
                if (attempt := marked.attempts.get(waiting.post.id)) is not None:
                    self._start(self._send(waiting, attempt, began + self._settings.start_within_seconds))
                else:
                    self._under_way -= 1
                    unmarked.append(waiting)
            await self._give_back([one.post.id for one in unmarked if one.post.id not in marked.waiting])
            for waiting in unmarked:
                post = waiting.post
                if not waiting.result.done():
                    why = marked.waiting.get(post.id, marks.LEFT_OUT)
                    waiting.result.set_result(Sent(post.id, post.handle, post.planned_at, "not marked", why))

    async def _give_back(self, post_ids: Sequence[UUID]) -> None:
        if not post_ids:
            return
        try:
            await marks.give_back(self._at, self._sender, post_ids)
        except PASSING as error:
            log.warning("%d claims wait to be given back: %s", len(post_ids), error)
            self.left += post_ids

    async def _gather(self, span: float) -> list[_Waiting]:
        """The next posts due within `span`, by turns of their bots, as many as may be marked now."""
        while True:
            self._changed.clear()
            self._line_up(span)
            room = self._room()
            if self._due and room > 0 and self._worth_a_commit(room):
                break
            # What is due waits for an answer to make room; what is not due yet, for its instant; nothing, for a post.
            patience = self._waiting[0].due_ticks - span - ticks() if self._waiting else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), patience)
        batch = [self._due.take() for _ in range(min(room, len(self._due)))]
        self._under_way += len(batch)
        return batch

    def _line_up(self, span: float) -> None:
        """Let everything that is due within `span` take its bot's turns."""
        before = ticks() + span
        while self._waiting and self._waiting[0].due_ticks <= before:
            waiting = heapq.heappop(self._waiting)
            self._due.put(waiting.post.bot_id, waiting)

    def _room(self) -> int:
        """How many posts may be marked now: one a free lane, and some ahead while X answers quickly."""
        quick = self._answer_seconds < QUICK_SHARE * self._settings.start_within_seconds
        ahead = int(self._settings.lanes * AHEAD_SHARE) if quick else 0
        return self._settings.lanes + ahead - self._under_way

    def _worth_a_commit(self, room: int) -> bool:
        """False while a bigger batch is only some answers away."""
        if self._under_way < self._settings.lanes:
            return True
        return room >= min(len(self._due), int(self._settings.lanes * AHEAD_SHARE))

    async def _send(self, waiting: _Waiting, attempt_id: UUID, start_by_ticks: float) -> None:
        post = waiting.post
        if (early := waiting.due_ticks - ticks()) > 0:
            await asyncio.sleep(early)

        def latch() -> None:
            if ticks() >= start_by_ticks:
                raise TimeoutError("the start was missed")

        began = ticks()
        try:
            outcome = await self._create(post, waiting.token, attempt_id, latch)
        finally:
            self._answer_seconds += (ticks() - began - self._answer_seconds) / self._settings.lanes
            self._under_way -= 1
            self._changed.set()
        if outcome.ended == "unauthorized":
            self._at.kept(AccessTokens, AccessTokens).forget(post.bot_id)
        step = after_attempt(outcome, self.clock.instant_at(ticks()), timedelta(seconds=self._settings.retry_seconds))
        self._answered.append((Settled(attempt_id, post.id, outcome, step), waiting))
        self._has_answers.set()

    async def _create(
        self, post: ClaimedPost, token: AccessToken, attempt_id: UUID, latch: Callable[[], None]
    ) -> Outcome:
        try:
            wanted = _request(post)
        except ValidationError as error:
            return Outcome("refused", problem="request-malformed", detail=str(error.errors()[0]["msg"]))
        try:
            answer = await self._at.x.create_post(token.value, wanted, latch=latch, traceparent=traceparent(attempt_id))
        except XError as error:
            return Outcome(
                _ended(error),
                first_byte_at=self._by_our_clock(error.first_byte_at),
                http_status=error.status,
                # X has no type of its own for a duplicate.
                problem="duplicate" if isinstance(error, Duplicate) else error.problem,
                detail=error.detail,
                retry_at=error.retry_at,
                duplicate=isinstance(error, Duplicate),
                silences=breakers.cause_of(error),
                left=_left(error.limits),
            )
        return Outcome(
            "accepted",
            first_byte_at=self._by_our_clock(answer.first_byte_at),
            x_post_id=answer.data.id,
            http_status=answer.status,
            left=_left(answer.limits),
        )

    def _by_our_clock(self, instant: datetime | None) -> datetime | None:
        """An instant of this machine's wall clock in terms of app_now()."""
        if instant is None:
            return None
        return self.clock.instant_at(ticks() - (time.time() - instant.timestamp()))

    async def _write_down(self) -> None:
        """Outcomes in batches: what came in while the last batch was written goes with the next."""
        while True:
            await self._has_answers.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._has_answers.clear()
            batch = list(self._answered)
            written = await self._settle(batch)
            del self._answered[: len(batch)]
            for settled, waiting in written:
                if not waiting.result.done():
                    waiting.result.set_result(self._sent(settled, waiting.post))

    def _sent(self, settled: Settled, post: ClaimedPost) -> Sent:
        outcome, step = settled.outcome, settled.next_step
        return Sent(
            post.id,
            post.handle,
            post.planned_at,
            step.status,
            step.reason,
            outcome.x_post_id,
            outcome.first_byte_at,
            cost_usd(post.text, governor.tables(self._at).prices) if outcome.ended in BILLED else Decimal(0),
        )

    async def _settle(self, batch: Sequence[tuple[Settled, _Waiting]]) -> Sequence[tuple[Settled, _Waiting]]:
        """Write a batch down, until it stands; answers it as it was written."""
        refused = {
            waiting.post.bot_id: waiting.token.expires_at
            for settled, waiting in batch
            if settled.outcome.ended == "unauthorized"
        }
        for pause in pauses(endless=True):
            try:
                async with self._at.transaction() as session:
                    await looks.lock(session, [settled.attempt_id for settled, _ in batch])
                    written = await _reconsidered(session, batch)
                    await attempts.settle(session, [settled for settled, _ in written])
                    said = [(one.post.bot_id, settled.outcome) for settled, one in written]
                    await breakers.heed(session, said)
                    await governor.heed(self._at, session, said)
                    if refused:
                        # A refresh may have ended the older token: then the newer one is read at the next claim.
                        await bots.lose_login(session, await credentials.newest(session, refused))
                return written
            except IntegrityError as error:
                # X gave a number that another post has: that one stays open, and the sweeper calls it unknown.
                if len(batch) == 1:
                    log.error("an outcome cannot be written: %s", error)
                    return batch
                return [written for one in batch for written in await self._settle([one])]
            except PASSING as error:
                log.warning("outcomes of %d posts wait for the database: %s", len(batch), error)
                await asyncio.sleep(pause)
        return batch


async def _reconsidered(
    session: AsyncSession, batch: Sequence[tuple[Settled, _Waiting]]
) -> Sequence[tuple[Settled, _Waiting]]:
    """A post that perhaps is out already and that X now calls a duplicate is looked for, not refused."""
    duplicates = [settled.attempt_id for settled, _ in batch if settled.outcome.duplicate]
    resent = await attempts.resends(session, duplicates) if duplicates else frozenset()
    return [(_in_doubt(settled) if settled.attempt_id in resent else settled, waiting) for settled, waiting in batch]


def _in_doubt(settled: Settled) -> Settled:
    outcome = on_resend(settled.outcome)
    return replace(settled, outcome=outcome, next_step=NextStep("unknown", outcome.said))


def _request(post: ClaimedPost) -> CreatePost:
    return CreatePost(
        text=post.text,
        media=CreateMedia(media_ids=list(post.x_media_ids)) if post.x_media_ids else None,
        poll=CreatePoll.model_validate(post.poll) if post.poll else None,
        quote_tweet_id=post.quote_x_post_id,
        reply=CreateReply(in_reply_to_tweet_id=post.reply_to_x_post_id) if post.reply_to_x_post_id else None,
        reply_settings=post.reply_settings,
        made_with_ai=post.made_with_ai or None,
        paid_partnership=post.paid_partnership or None,
    )


def _ended(error: XError) -> Ended:
    match error:
        case NotSent():
            return "not_sent"
        case NoAnswer():
            return "unknown"
        case Throttled():
            return "throttled"
        case Unauthorized():
            return "unauthorized"
    return "refused" if error.outcome_known else "unknown"


def _left(limits: Limits | None) -> tuple[Left, ...]:
    told: tuple[tuple[Literal["user", "app"], Window | None], ...] = (
        (("user", limits.rate), ("app", limits.app_24hour)) if limits else ()
    )
    return tuple(
        Left(per, window.remaining, window.reset_at)
        for per, window in told
        if window and window.remaining is not None and window.reset_at is not None
    )
