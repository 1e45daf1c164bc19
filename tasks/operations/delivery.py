"""Publishing: a window of time in which one sender claims what falls due and sends it."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.process import this_process
from tasks.connections import Connections
from tasks.domain import clock, misfire
from tasks.domain.misfire import CaughtUp
from tasks.domain.posts import Draft
from tasks.operations import approving, breakers, gate, media, restores
from tasks.operations.access_tokens import AccessToken
from tasks.operations.credentials import Unusable, access_tokens, tokens_in_memory
from tasks.operations.gate import Asked
from tasks.operations.outbox import Outbox, Sent
from tasks.operations.patience import PASSING, ticks
from tasks.operations.senders import bury_dead
from tasks.store import approvals, attempts, base, bots, claims, senders, threads, turns, verdicts
from tasks.store.claims import ClaimedPost
from tasks.store.media import NeededUpload
from tasks.store.posts import DUE_CHANNEL

log = logging.getLogger("vivesphere.debug")

# Late posts that get their turns in one transaction.
LATE_ONES_AT_ONCE = 1000
# A successor that missed this many beats is no successor.
BEATS_MISSED = 3
# A claim waits this long for the vault; then posts whose token is in memory go ahead, and the others follow.
TOKENS_WITHIN_SECONDS = 0.5
NOT_JUDGED = "waits: the gate could not judge it"


@dataclass(frozen=True)
class Claim:
    """Posts taken together: what the page of a run shows. The posts themselves stay with the sender."""

    sender: UUID
    number: int
    posts: int
    first_planned_at: datetime
    last_planned_at: datetime


@dataclass(frozen=True)
class Published:
    """What became of the posts of one claim."""

    claim: Claim
    sent: tuple[Sent, ...]


@dataclass
class Window:
    """One sender at work. Iterate to get claims; hand each to `publish` by way of `sending`."""

    at: Connections
    sender: UUID
    outbox: Outbox
    seconds: float
    extends: bool
    results: list[Published] = field(default_factory=list)
    taken: int = 0
    _numbers: Any = field(default_factory=lambda: count(1))
    _held: dict[int, "list[asyncio.Future[Sent]]"] = field(default_factory=dict)
    _sending: set["asyncio.Task[Published]"] = field(default_factory=set)
    _failed: list[BaseException] = field(default_factory=list)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _reading: dict["asyncio.Task[None]", int] = field(default_factory=dict)
    _ready: list[tuple[ClaimedPost, AccessToken]] = field(default_factory=list)

    @property
    def ended(self) -> int:
        """How many of the posts taken have an outcome that is written down."""
        return sum(len(published.sent) for published in self.results)

    def sending(self, work: Coroutine[Any, Any, Published]) -> None:
        """Let one claim be published while the next ones are taken."""
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._note)

    def _note(self, task: "asyncio.Task[Published]") -> None:
        self._sending.discard(task)
        if not task.cancelled():
            if (error := task.exception()) is None:
                self.results.append(task.result())
            else:
                self._failed.append(error)

    async def __aiter__(self) -> AsyncIterator[Claim]:
        """Claims that hold posts, until the window ends and, where it may, until a successor is there."""
        end = ticks() + self.seconds
        settings = self.at.places.settings.posting
        while not self._failed and (ticks() < end or (self.extends and not await self._has_successor())):
            self._woken.clear()
            held = self.outbox.held + sum(self._reading.values())
            claim = await self._claim() if held < settings.held else self._hold()
            if claim is not None:
                yield claim
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), settings.poll_seconds)
        if self._reading:
            await asyncio.wait(self._reading)
        if (claim := self._hold()) is not None:
            yield claim
        with suppress(*PASSING):  # the end of the window tries it again
            await self._give_back_left()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._failed:
            raise self._failed[0]

    async def publish(self, claim: Claim) -> Published:
        """Wait until every post of a claim was sent and its outcome is written down."""
        return Published(claim, tuple(await asyncio.gather(*self._held.pop(claim.number))))

    async def _claim(self) -> Claim | None:
        settings = self.at.places.settings.posting
        claimed: Sequence[ClaimedPost] = ()
        try:
            await self._give_back_left()
            await catch_up(self.at)
            async with self.at.transaction() as session:
                reading = self.outbox.clock = await _read_clock(session)
                claimed = await claims.take(
                    session,
                    self.sender,
                    ahead=timedelta(seconds=settings.ahead_seconds),
                    lease=timedelta(seconds=settings.lease_seconds),
                    late=timedelta(seconds=settings.late_seconds),
                    grace=timedelta(seconds=settings.misfire_grace_seconds),
                    limit=settings.batch,
                )
            allowed = await self._judged(claimed) if claimed else []
        except PASSING as error:
            log.warning("nothing was claimed: %s", error)
            self.outbox.left += [post.id for post in claimed]
        else:
            await self._ask_for_tokens(allowed, reading.instant)
        return self._hold()

    def _hold(self) -> Claim | None:
        """Put every post that has its token into the outbox, as one claim."""
        if not self._ready:
            return None
        ready = sorted(self._ready, key=lambda pair: (pair[0].next_at, pair[0].id))
        self._ready.clear()
        number: int = next(self._numbers)
        self.taken += len(ready)
        self._held[number] = [self.outbox.put(post, token) for post, token in ready]
        return Claim(self.sender, number, len(ready), ready[0][0].planned_at, ready[-1][0].planned_at)

    async def _ask_for_tokens(self, allowed: Sequence[ClaimedPost], now: datetime) -> None:
        """Posts become ready with their token; a vault that does not answer holds up none but those that need it."""
        known = tokens_in_memory(self.at, now)
        self._ready += [(post, known[post.bot_id]) for post in allowed if post.bot_id in known]
        strange = [post for post in allowed if post.bot_id not in known]
        if strange:
            reading = asyncio.create_task(self._read_tokens(strange, now))
            self._reading[reading] = len(strange)
            reading.add_done_callback(self._have_read)
            await asyncio.wait({reading}, timeout=TOKENS_WITHIN_SECONDS)

    async def _read_tokens(self, claimed: Sequence[ClaimedPost], now: datetime) -> None:
        try:
            tokens = await access_tokens(self.at, {post.bot_id for post in claimed}, now)
            await self._put_off([(post, tokens[post.bot_id]) for post in claimed])
        except PASSING as error:
            log.warning("%d posts wait for their tokens: %s", len(claimed), error)
            self.outbox.left += [post.id for post in claimed]
        else:
            self._ready += [(p, token) for p in claimed if isinstance(token := tokens[p.bot_id], AccessToken)]

    def _have_read(self, task: "asyncio.Task[None]") -> None:
        del self._reading[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed.append(error)
        self._woken.set()

    async def _give_back_left(self) -> None:
        """Claims that were cut short: nobody sends them, and yet their lease is renewed as long as this run lives."""
        if left := list(self.outbox.left):
            async with self.at.transaction() as session:
                await claims.give_back(session, self.sender, left, None, timedelta())
            del self.outbox.left[: len(left)]

    async def _judged(self, claimed: Sequence[ClaimedPost]) -> list[ClaimedPost]:
        """The posts that the gate of this release lets pass; one judged by an older policy is judged anew.

        Where the gate fails nothing of it passes: it is given back, and says why.
        """
        settings = self.at.places.settings.posting
        async with self.at.transaction() as session:
            try:
                version = gate.in_force(self.at).version
            except gate.PolicyError as error:
                await self._not_judged(session, claimed, f"{NOT_JUDGED}: {error}")
                return []
            known = await verdicts.judged(session, [post.id for post in claimed], version)
        new = [post for post in claimed if (post.id, post.revision) not in known]
        old = [post for post in claimed if (post.id, post.revision) in known]
        if not new:
            return old
        try:
            async with asyncio.timeout(settings.gate_seconds), self.at.transaction() as session:
                return old + await self._judge(session, new)
        except TimeoutError:
            async with self.at.transaction() as session:
                await self._not_judged(session, new, f"{NOT_JUDGED}: it took more than {settings.gate_seconds:g} s")
            return old

    async def _judge(self, session: AsyncSession, new: Sequence[ClaimedPost]) -> list[ClaimedPost]:
        accounts = await bots.by_handles(session, [post.handle for post in new])
        asked = [
            Asked(post.id, post.revision, _draft(post), accounts[post.handle.lower()], post.planned_at) for post in new
        ]
        judged = await gate.judge(self.at, session, asked)
        await gate.keep(session, judged)
        passed: list[ClaimedPost] = []
        for post, one in zip(new, judged, strict=True):
            if one.verdict is None:
                await self._not_judged(session, [post], "; ".join(one.reasons))
            elif one.waits:
                await claims.let_wait(session, self.sender, [post.id], "; ".join(one.reasons))
                question = approving.question(one, "the gate", approving.rules_of(one))
                await approvals.ask(session, [question], approving.patience(self.at))
            elif one.verdict.refused:
                await claims.refuse(session, self.sender, [post.id], "; ".join(one.reasons))
            else:
                passed.append(post)
        return passed

    async def _not_judged(self, session: AsyncSession, left: Sequence[ClaimedPost], why: str) -> None:
        log.error("%d posts do not go out: %s", len(left), why)
        wait = timedelta(seconds=self.at.places.settings.posting.retry_seconds)
        await claims.give_back(session, self.sender, [post.id for post in left], why, wait)

    async def _put_off(self, found: Sequence[tuple[ClaimedPost, AccessToken | Unusable]]) -> None:
        """Give back the posts of bots that have no token now; their bots are asked to sign in where that helps."""
        without = [(post, token) for post, token in found if isinstance(token, Unusable)]
        if not without:
            return
        wait = timedelta(seconds=self.at.places.settings.posting.retry_seconds)
        async with self.at.transaction() as session:
            for reason in {token.reason for _, token in without}:
                ids = [post.id for post, token in without if token.reason == reason]
                await claims.give_back(session, self.sender, ids, reason, wait)
            signed_out = [post.bot_id for post, token in without if token.needs_login]
            for handle in await bots.lose_login(session, signed_out):
                log.warning("@%s needs to sign in: its posts wait", handle)

    async def _has_successor(self) -> bool:
        beat = self.at.places.settings.posting.beat_seconds
        try:
            async with self.at.transaction() as session:
                return await senders.has_successor(session, self.sender, timedelta(seconds=BEATS_MISSED * beat))
        except PASSING:
            return False

    async def beat(self) -> None:
        """Say again and again that this sender is alive, hold on to its claims, and bury those proven dead."""
        settings = self.at.places.settings.posting
        lease = timedelta(seconds=settings.lease_seconds)
        while True:
            try:
                async with self.at.transaction() as session:
                    await senders.beat(session, self.sender)
                    await claims.renew(session, self.sender, lease)
                if await bury_dead(self.at):
                    self._woken.set()
            except PASSING as error:
                log.warning("no heartbeat: %s", error)
            await asyncio.sleep(settings.beat_seconds)

    async def listen(self) -> None:
        """Wake up when a post is scheduled; without this a run still looks every `poll_seconds`."""
        while True:
            with suppress(psycopg.Error, *PASSING):
                connection = await self.at.server.connect(await self.at.login(), "vivesphere listener", autocommit=True)
                async with connection:
                    await connection.execute(f"LISTEN {DUE_CHANNEL}")
                    async for _ in connection.notifies():
                        self._woken.set()
            await asyncio.sleep(self.at.places.settings.posting.beat_seconds)


Upload = Callable[[Sequence[NeededUpload]], Awaitable[object]]


class _Windows(dict[UUID, Window]):
    """The windows that are open in this process, by sender."""


async def publish(at: Connections, claim: Claim) -> Published:
    """Send the posts held under one claim of this process, each at its due instant."""
    return await at.kept(_Windows, _Windows)[claim.sender].publish(claim)


@asynccontextmanager
async def open_window(
    at: Connections, seconds: float | None, flow_run_id: UUID | None = None, upload: Upload | None = None
) -> AsyncIterator[Window]:
    """Register a sender and let it work; without `seconds` it serves the window of the settings and then goes on
    until a successor beats. `upload` lays media at X; given, it is how the caller wants it shown."""
    me = this_process()
    async with at.transaction() as session:
        reading = await _read_clock(session)
        sender = await senders.add(
            session,
            host=me.host,
            boot_id=me.boot_id,
            pid_namespace=me.pid_namespace,
            pid=me.pid,
            start_ticks=me.start_ticks,
            flow_run_id=flow_run_id,
        )
    async with Outbox(at, sender, reading) as outbox:
        length = at.places.settings.posting.window_seconds if seconds is None else seconds
        window = Window(at, sender, outbox, length, extends=seconds is None)
        windows = at.kept(_Windows, _Windows)
        windows[sender] = window
        beside = [asyncio.create_task(work) for work in (window.beat(), window.listen(), breakers.keep_probing(at))]
        ended = asyncio.Event()
        uploading = asyncio.create_task(media.keep_uploading(at, ended, upload or partial(media.upload, at)))
        try:
            yield window
        finally:
            del windows[sender]
            ended.set()
            await asyncio.gather(uploading, return_exceptions=True)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            with suppress(*PASSING):
                async with at.transaction() as session:
                    await claims.give_back_all(session, sender)
                    await senders.close(session, sender)


@dataclass(frozen=True)
class Swept:
    """What a look at overdue rows changed."""

    unknown: Sequence[UUID]
    expired: Sequence[UUID]
    broken: Sequence[UUID]


async def sweep(at: Connections) -> Swept:
    """Attempts past their time or without a sender become unknown, posts past theirs expire, parts of broken threads
    are held; nothing is sent again.
    """
    await bury_dead(at)
    posting = at.places.settings.posting
    late, grace = timedelta(seconds=posting.late_seconds), timedelta(seconds=posting.misfire_grace_seconds)
    async with at.transaction() as session:
        unknown = await attempts.sweep(session)
    # Before anything expires: what another stack has sent is out, however late it is here.
    await restores.doubt_due(at)
    async with at.transaction() as session:
        expired = [*await turns.expire(session, late, grace), *await approvals.expire(session, late, grace)]
    async with at.transaction() as session:
        return Swept(unknown, expired, await threads.hold_broken(session))


async def catch_up(at: Connections) -> Sequence[CaughtUp]:
    """Let the misfire policy of each late post decide: it gets a turn of its own, or it ends."""
    posting = at.places.settings.posting
    late, grace = timedelta(seconds=posting.late_seconds), timedelta(seconds=posting.misfire_grace_seconds)
    async with at.transaction() as session:
        found = await turns.late_ones(session, late=late, grace=grace, limit=LATE_ONES_AT_ONCE)
        if not found:
            return ()
        taken = await turns.taken(session, list({post.bot_id for post in found}))
        gap = timedelta(seconds=posting.catch_up_gap_seconds)
        caught = misfire.catch_up(found, await base.now(session), gap, taken)
        await turns.give(session, caught)
    return caught


def summary(results: Sequence[Published]) -> Counter[str]:
    """How many posts ended in each status."""
    return Counter(sent.status for published in results for sent in published.sent)


async def _read_clock(session: AsyncSession) -> clock.Reading:
    rate = await base.rate(session)
    asked = ticks()
    now = await base.now(session)
    return clock.Reading(now, asked, ticks(), rate)


def _draft(post: ClaimedPost) -> Draft:
    return Draft(
        bot=post.handle,
        text=post.text,
        due_at=post.due_at,
        reply_to_x_post_id=post.reply_to_x_post_id,
        quote_x_post_id=post.quote_x_post_id,
        media=post.asset_ids,
        poll=post.poll,
        made_with_ai=post.made_with_ai,
        paid_partnership=post.paid_partnership,
    )
