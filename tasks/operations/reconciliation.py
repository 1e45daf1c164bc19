"""Reconciliation: what became of posts whose answer was lost, by their accounts' timelines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.x.errors import Refused, Unauthorized, XError
from blocks.x.wire import NotePost, Post
from tasks.connections import Connections
from tasks.domain import reconciliation as rules
from tasks.domain.posts import DUPLICATE, NextStep, Outcome
from tasks.domain.reconciliation import Decision, Doubt, Look, Seen, Terms, Verdict
from tasks.domain.sightings import Sighting, Wanted, id_before, look_for, made_at
from tasks.operations import breakers, governor
from tasks.operations.access_tokens import AccessToken
from tasks.operations.credentials import AccessTokens, Unusable, access_tokens
from tasks.operations.governor import NotNow
from tasks.operations.patience import PASSING, ticks
from tasks.operations.senders import bury_dead
from tasks.store import attempts, base, deletions, looks, posts
from tasks.store.attempts import Settled
from tasks.store.deletions import UnwantedPost
from tasks.store.looks import InDoubt

log = logging.getLogger("vivesphere.debug")

# Whoever takes an attempt reads its timeline within this time, or somebody else does.
LEASE = timedelta(seconds=60)
# X gives no more than an account's last 3,200 posts, in pages of 100.
PAGES_MOST = 32
# A page of a timeline brings so many posts at most, each of which X bills.
PAGE_POSTS = 100
TIMELINE, DELETE = "GET /2/users/{id}/tweets", "DELETE /2/tweets/{id}"
# How often a run asks whether a look is due.
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Reviewed:
    """What was seen of one post, what that led to, and why; for the pages and logs people read."""

    post_id: UUID
    handle: str
    seen: Seen
    x_post_ids: tuple[str, ...]
    verdict: Verdict | Literal["deleted"]
    reason: str


async def reconcile(at: Connections, seconds: float | None = None) -> AsyncIterator[Sequence[Reviewed]]:
    """Look as often as looks fall due, until nothing is in doubt or the window (default: settings) ends."""
    end = ticks() + (at.places.settings.reconciliation.window_seconds if seconds is None else seconds)
    while True:
        try:
            if reviewed := [*await look(at), *await delete_unwanted(at)]:
                yield reviewed
            async with at.transaction() as session:
                due_in = await looks.due_in(session)
        except PASSING as error:
            log.warning("nothing was reconciled: %s", error)
            due_in = timedelta(seconds=POLL_SECONDS)
        left = end - ticks()
        if due_in is None or left <= 0:
            return
        await asyncio.sleep(max(0.01, min(due_in.total_seconds(), left, POLL_SECONDS)))


async def look(at: Connections) -> list[Reviewed]:
    """One round: read the timeline of each account for which a look is due, decide, write down."""
    await bury_dead(at)
    settings = at.places.settings.reconciliation
    async with at.transaction() as session:
        await attempts.sweep(session)
    async with at.transaction() as session:
        now = await base.now(session)
        taken = sorted(await looks.take(session, LEASE, settings.batch), key=lambda doubt: doubt.bot_id)
    tokens = await access_tokens(at, {doubt.bot_id for doubt in taken}, now) if taken else {}
    side_by_side = asyncio.Semaphore(settings.readers)

    async def one(doubts: Sequence[InDoubt]) -> Sequence[Reviewed]:
        async with side_by_side:
            timeline = await _read(at, doubts, tokens[doubts[0].bot_id])
        try:
            return await _judge(at, [doubt.attempt_id for doubt in doubts], timeline, now)
        except IntegrityError as error:
            # Another attempt was given the same post on X at this very moment: the next look knows it.
            log.warning("@%s is looked at again: %s", doubts[0].handle, error)
            return ()

    accounts = [list(doubts) for _, doubts in groupby(taken, key=lambda doubt: doubt.bot_id)]
    rounds = await asyncio.gather(*(one(doubts) for doubts in accounts))
    return [reviewed for found in rounds for reviewed in found]


async def delete_unwanted(at: Connections) -> list[Reviewed]:
    """Delete on X what a person wants gone: what is out, and what was cancelled while nobody knew whether it is."""
    async with at.transaction() as session:
        now = await base.now(session)
        unwanted = await deletions.take(session, LEASE, at.places.settings.reconciliation.batch)
    tokens = await access_tokens(at, {post.bot_id for post in unwanted}, now) if unwanted else {}
    return [await _delete(at, post, tokens[post.bot_id]) for post in unwanted]


async def _delete(at: Connections, post: UnwantedPost, token: AccessToken | Unusable) -> Reviewed:
    problem = token.reason if isinstance(token, Unusable) else None
    if problem is None:
        granted = await governor.reserve(at, post.x_app_id, post.bot_id, DELETE)
        problem = granted.reason if isinstance(granted, NotNow) else None
    if problem is None and isinstance(token, AccessToken):
        try:
            await at.x.delete_post(token.value, post.x_post_id)
        except XError as error:
            await breakers.heed_read(at, post.bot_id, error)
            gone = isinstance(error, Refused) and error.status == 404
            problem = None if gone else str(error)
    if problem is not None:
        log.error("post %s of @%s is not wanted and still on X: %s", post.id, post.handle, problem)
        return Reviewed(post.id, post.handle, "marked", (post.x_post_id,), "wait", f"not deleted on X yet: {problem}")
    reason = f"deleted on X, as {post.wanted_by} wanted"
    async with at.transaction() as session:
        await deletions.done(session, post.id, reason)
    return Reviewed(post.id, post.handle, "marked", (post.x_post_id,), "deleted", reason)


async def _read(at: Connections, doubts: Sequence[InDoubt], token: AccessToken | Unusable) -> Sequence[Sighting] | str:
    """The timeline since the first of these attempts, all of it; or why it cannot be read."""
    account, since = doubts[0], min(doubt.first_marked_at for doubt in doubts) - _skew(at)
    if isinstance(token, Unusable):
        return token.reason
    if account.x_user_id is None:
        return "its account on X is not known"
    found: list[Sighting] = []
    page: str | None = None
    for _ in range(PAGES_MOST):
        granted = await governor.reserve(
            at, account.x_app_id, account.bot_id, TIMELINE, resources=PAGE_POSTS, reconciling=True
        )
        if isinstance(granted, NotNow):
            return granted.reason
        try:
            answer = await at.x.user_timeline(
                token.value, account.x_user_id, since_id=id_before(since), pagination_token=page
            )
        except XError as error:
            if isinstance(error, Unauthorized):
                at.kept(AccessTokens, AccessTokens).forget(account.bot_id)
            await breakers.heed_read(at, account.bot_id, error)
            return str(error)
        await governor.used(at, granted, len(answer.data))
        found += [_sighting(post) for post in answer.data]
        page = answer.meta.next_token if answer.meta else None
        if page is None:
            return found
    return f"more than {PAGES_MOST} pages were posted since"


async def _judge(
    at: Connections, attempt_ids: Sequence[UUID], timeline: Sequence[Sighting] | str, now: datetime
) -> list[Reviewed]:
    """Decide with everything held still: an answer that came meanwhile wins, and its post is left alone."""
    terms = terms_of(at)
    async with at.transaction() as session:
        await looks.lock(session, attempt_ids)
        doubts = await looks.still_in_doubt(session, attempt_ids)
        before = await looks.of_attempts(session, attempt_ids)
        shown = [] if isinstance(timeline, str) else timeline
        taken = await looks.known(session, [one.x_post_id for one in shown])
        reviewed = []
        for doubt in doubts:
            seen: Look = (
                Look(now, "unreadable", reason=timeline)
                if isinstance(timeline, str)
                else Look(now, *look_for(_wanted(doubt, terms, _skew(at)), timeline, taken))
            )
            decision = rules.decide(doubt_of(doubt), [*before.get(doubt.attempt_id, ()), seen], terms)
            await looks.add(session, doubt.attempt_id, seen, decision.verdict, decision.reason)
            await _write(session, doubt, decision)
            reviewed.append(
                Reviewed(doubt.post_id, doubt.handle, seen.seen, seen.x_post_ids, decision.verdict, decision.reason)
            )
    return reviewed


async def _write(session: AsyncSession, doubt: InDoubt, decision: Decision) -> None:
    match decision.verdict:
        case "wait":
            await posts.explain(session, doubt.post_id, decision.reason)
            if decision.next_look_at is not None:
                await attempts.look_again(session, doubt.attempt_id, decision.next_look_at)
            return
        case "held":
            await posts.hold(session, doubt.post_id, decision.reason)
            return
    outcome = Outcome("not_arrived")
    if decision.verdict == "published" and decision.x_post_id is not None:
        outcome = Outcome("accepted", x_post_id=decision.x_post_id, published_at=made_at(decision.x_post_id))
    step = NextStep(decision.verdict, decision.reason)
    await attempts.settle(session, [Settled(doubt.attempt_id, doubt.post_id, outcome, step)], by="timeline")


def terms_of(at: Connections) -> Terms:
    """The settings that a resend rests on."""
    settings = at.places.settings
    return Terms(
        settle=timedelta(seconds=settings.x.settle_seconds),
        visible=timedelta(seconds=settings.x.visible_seconds),
        apart=timedelta(seconds=settings.reconciliation.apart_seconds),
        gap_most=timedelta(seconds=settings.reconciliation.gap_most_seconds),
        attempts_max=settings.posting.attempts_max,
        resend_after_token_fence=settings.reconciliation.resend_after_token_fence,
    )


def doubt_of(row: InDoubt) -> Doubt:
    """What the rules ask of an attempt."""
    return Doubt(
        token_expires_at=row.token_expires_at,
        over_at=row.over_at,
        in_thread=row.in_thread,
        cancel_wanted=row.cancel_wanted,
        said_duplicate=row.problem == DUPLICATE,
        attempts=row.attempts,
    )


def _wanted(row: InDoubt, terms: Terms, skew: timedelta) -> Wanted:
    fenced = rules.fence(doubt_of(row), terms)
    return Wanted(
        text=row.text,
        since=row.first_marked_at - skew,
        until=fenced + skew if fenced else None,
        replied_to=row.replied_to,
        quoted=row.quoted,
        follows_ours=row.follows_ours,
        media_keys=frozenset(row.media_keys),
    )


def _skew(at: Connections) -> timedelta:
    return timedelta(seconds=at.places.settings.x.clock_skew_seconds)


def _sighting(post: Post) -> Sighting:
    whole: Post | NotePost = post.note_post or post
    refers = {reference.type: reference.id for reference in post.referenced_posts or ()}
    quoted = refers.get("quoted")
    urls = whole.entities.urls or () if whole.entities else ()
    links: Mapping[str, str | None] = {
        url.url: None
        if url.media_key or (quoted and (url.expanded_url or "").endswith(f"/status/{quoted}"))
        else url.expanded_url
        for url in urls
        if url.url
    }
    shown = post.attachments.media_keys or () if post.attachments else ()
    return Sighting(post.id, whole.text or "", links, refers.get("replied_to"), quoted, frozenset(shown))
