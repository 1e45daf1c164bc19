"""Posts as people handle them: schedule, look, cancel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain import threads
from tasks.domain.budget import cost_usd
from tasks.domain.media import MediaError, check_together
from tasks.domain.policy import gate
from tasks.domain.policy.finding import Account, Case
from tasks.domain.policy.gate import Verdict
from tasks.domain.posts import CANCELLABLE, Change, Draft
from tasks.domain.roles import Actor
from tasks.domain.schedule import planned
from tasks.operations import activity, governor
from tasks.store import attempts, base, bots, deletions, media, posts, revisions, verdicts
from tasks.store.bots import BotRow
from tasks.store.media import MediaAsset
from tasks.store.posts import PostRow

Source = Literal["cli", "csv", "api", "demo", "plan"]
# What whoever hands posts in may say of them; a plan hands in its own.
HandedIn = Literal["cli", "csv", "api", "demo"]


class NoSuchPostError(LookupError):
    """There is no post with this id."""


class TooLateError(RuntimeError):
    """The post is past the point where it can be cancelled; `status` says where it is."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the post is {status}; only a post that is not on its way yet can be cancelled")
        self.status = status


class NotOutError(RuntimeError):
    """The post is not on X; `status` says where it is."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the post is {status}; only one that is out can be deleted on X, others are cancelled")
        self.status = status


class StaleError(RuntimeError):
    """The post was changed meanwhile; `revision` is the one that stands."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"the post stands at revision {revision}: look at it again before you change it")
        self.revision = revision


@dataclass(frozen=True)
class Receipt:
    """What became of one draft, in the place of the draft.

    `scheduled`: it stands now (with `dry_run`: it would). `unchanged`: the same one stood already. `conflict`: its
    external id belongs to a post that says something else. `refused`: `reasons` name rule and evidence. `cost_usd` is
    what X asks for a post that is scheduled, `dearer_times` how often that of one without a link where it has one.
    """

    result: Literal["scheduled", "unchanged", "conflict", "refused"]
    post_id: UUID | None = None
    reasons: tuple[str, ...] = ()
    cost_usd: Decimal | None = None
    dearer_times: int | None = None


@dataclass(frozen=True)
class PostHistory:
    """A post with every verdict and every attempt."""

    post: PostRow
    verdicts: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    revisions: Sequence[Mapping[str, Any]]
    media: Sequence[MediaAsset]


def account_of(bot: BotRow) -> Account:
    """What the gate looks at of a bot."""
    return Account(
        handle=bot.handle,
        operator_handle=bot.operator_handle,
        label_confirmed=bot.label_confirmed_at is not None,
        bio_names_operator=bot.bio_names_operator,
    )


async def schedule(
    at: Connections,
    drafts: Sequence[Draft],
    actor: Actor,
    source: Source,
    dry_run: bool = False,
    as_draft: bool = False,
) -> list[Receipt]:
    """Gate and store a batch; a refused draft names its rule and stops no other, save the parts of its own thread.

    With `as_draft` what stands goes out only once a person has released it.
    """
    async with at.transaction() as session:
        known = await bots.by_handles(session, [draft.bot for draft in drafts], actor.within("posts.schedule"))
        too_old = await base.now(session) - timedelta(seconds=at.places.settings.posting.misfire_grace_seconds)
        assets = await media.assets(session, {asset_id for draft in drafts for asset_id in draft.media})
        judged = [_judge(draft, known.get(draft.bot.lower()), too_old, assets) for draft in drafts]
        receipts = [_refusal(verdict) for verdict in judged]
        groups = threads.groups(drafts)
        for places in groups:
            _refuse_whole(drafts, places, receipts)
        fresh = await _new_ones(session, drafts, known, receipts)
        for places in groups:
            _keep_whole(places, fresh, receipts)
        fresh = [place for place in fresh if receipts[place] is None]
        ids = dict(zip(fresh, await posts.new_ids(session, len(fresh)), strict=True))
        if dry_run:
            added = set(ids.values())
        else:
            rows = {post_id: (drafts[place], known[drafts[place].bot.lower()].id) for place, post_id in ids.items()}
            parts = [[ids[place] for place in places] for places in groups if places[0] in ids]
            added = await posts.add(session, rows, source, actor.name, parts, "draft" if as_draft else "scheduled")
            await media.attach(session, {post_id: rows[post_id][0].media for post_id in added})
            await verdicts.add(session, {(ids[p], 1): _verdict(judged[p]) for p in fresh if ids[p] in added})
            changes = {
                str(post_id): (bot_id, _told(draft, source))
                for post_id, (draft, bot_id) in rows.items()
                if post_id in added
            }
            await activity.note_each(session, actor, "posts.schedule", changes, source=source)
        for place, post_id in ids.items():
            # One that was not added stands by now: somebody stored its external id between our look and our insert.
            stored = None if dry_run else post_id
            scheduled = _priced(at, Receipt("scheduled", stored), drafts[place].text)
            receipts[place] = scheduled if post_id in added else Receipt("unchanged")
    return [receipt for receipt in receipts if receipt is not None]


async def page(at: Connections, actor: Actor, **wanted: Any) -> Sequence[PostRow]:
    """Posts from the latest due instant downwards; see store.posts.page."""
    async with at.transaction() as session:
        return await posts.page(session, within=actor.within("posts.read"), **wanted)


async def history(at: Connections, post_id: UUID, actor: Actor) -> PostHistory:
    """Everything we know of one post; raises NoSuchPostError."""
    async with at.transaction() as session:
        post = await posts.get(session, post_id, actor.within("posts.read"))
        if post is None:
            raise NoSuchPostError(str(post_id))
        return PostHistory(
            post,
            await verdicts.of_post(session, post_id),
            await attempts.of_post(session, post_id),
            await revisions.of_post(session, post_id),
            await media.of_post(session, post_id),
        )


async def cancel(at: Connections, post_id: UUID, actor: Actor) -> PostRow:
    """Cancel one; raises NoSuchPostError, or TooLateError once it is on its way.

    One whose answer was lost stays `unknown`: it is not sent again, and where X turns out to have it, deleted there.
    """
    within = actor.within("posts.cancel")
    async with at.transaction() as session:
        if await posts.get(session, post_id, within) is None:
            raise NoSuchPostError(str(post_id))
        before = await posts.lock(session, post_id)
        if before is None:
            raise NoSuchPostError(str(post_id))
        cancelled = await posts.cancel(session, post_id, f"cancelled by {actor.name}")
        cancelled = cancelled or await deletions.want_cancelled(session, post_id, actor.name)
        post = await posts.get(session, post_id)
        if not cancelled or post is None:
            raise TooLateError(before.status)
        await activity.note(
            session,
            actor,
            "posts.cancel",
            str(post_id),
            before={"status": before.status, "revision": before.revision},
            after={"status": post.status, "revision": post.revision},
            bot_id=before.bot_id,
        )
    return post


async def edit(
    at: Connections, post_id: UUID, change: Change, actor: Actor, revision: int | None = None
) -> tuple[PostRow, Receipt]:
    """Change one that is not on its way yet and judge it anew; what the gate refuses stays as it was.

    Raises NoSuchPostError, TooLateError, and StaleError where `revision` is not the one that stands.
    """
    async with at.transaction() as session:
        await posts.lock(session, post_id)
        post = await posts.get(session, post_id, actor.within("posts.schedule"))
        if post is None:
            raise NoSuchPostError(str(post_id))
        if revision is not None and revision != post.revision:
            raise StaleError(post.revision)
        if post.status not in CANCELLABLE:
            raise TooLateError(post.status)
        changed = change.model_dump(exclude_unset=True)
        before = await revisions.draft_of(session, post_id)
        try:
            draft = Draft.model_validate({**before.model_dump(), **changed})
        except ValidationError as error:
            return post, Receipt("refused", None, tuple(one["msg"] for one in error.errors(include_url=False)))
        bot = (await bots.by_handles(session, [post.bot]))[post.bot.lower()]
        too_old = await base.now(session) - timedelta(seconds=at.places.settings.posting.misfire_grace_seconds)
        judged = _judge(draft, bot, too_old, await media.assets(session, set(draft.media)))
        if (refused := _refusal(judged)) is not None:
            return post, refused
        instant = planned(draft.due_at, draft.spread_seconds, draft.expires_at, post_id)
        fields = draft.model_dump(include=set(changed) - {"misfire_within_seconds"})
        await revisions.change(
            session,
            post_id,
            actor.name,
            **fields,
            misfire_within=draft.misfire_within,
            **({"planned_at": instant, "next_at": instant} if {"due_at", "spread_seconds"} & changed.keys() else {}),
        )
        await verdicts.add(session, {(post_id, post.revision + 1): _verdict(judged)})
        now_so = await revisions.draft_of(session, post_id)
        await activity.note(
            session,
            actor,
            "posts.edit",
            str(post_id),
            before=before.model_dump(exclude={"text"}, exclude_none=True),
            after=now_so.model_dump(exclude={"text"}, exclude_none=True),
            bot_id=bot.id,
            revision=post.revision + 1,
            fields=sorted(changed),
        )
        return await posts.get(session, post_id) or post, Receipt("scheduled", post_id)


async def delete(at: Connections, post_id: UUID, actor: Actor) -> PostRow:
    """Have one that is out deleted on X; raises NoSuchPostError, or NotOutError for one that is not.

    The wish is kept, and the next reconciliation carries it out; until then the post stays `published`.
    """
    async with at.transaction() as session:
        post = await posts.get(session, post_id, actor.within("posts.cancel"))
        if post is None:
            raise NoSuchPostError(str(post_id))
        if not await deletions.want(session, post_id, actor.name):
            raise NotOutError(post.status)
        await deletions.recall_next(session, post_id)
        await activity.note(session, actor, "posts.delete", str(post_id), bot=post.bot, x_post_id=post.x_post_id)
    return post


async def counts(at: Connections, actor: Actor) -> Mapping[str, int]:
    """Number of posts by status."""
    async with at.transaction() as session:
        return await posts.counts(session, actor.within("posts.read"))


def _intent(draft: Draft) -> Draft:
    """The same intent may stand on two lines of a file."""
    return draft.model_copy(update={"origin": None})


def _told(draft: Draft, source: Source) -> dict[str, Any]:
    """What the audit keeps of a draft: everything but its words."""
    return {**draft.model_dump(exclude={"text"}, exclude_none=True), "source": source}


async def _new_ones(
    session: AsyncSession, drafts: Sequence[Draft], known: Mapping[str, BotRow], receipts: list[Receipt | None]
) -> list[int]:
    """The places of drafts that do not stand yet; those that do get their receipts."""
    open_at = [place for place, receipt in enumerate(receipts) if receipt is None]
    standing = await posts.by_external_ids(session, _external_ids(drafts, open_at, known))
    fresh: list[int] = []
    first: dict[tuple[UUID, str], int] = {}
    for place in open_at:
        draft, bot = drafts[place], known[drafts[place].bot.lower()]
        key = (bot.id, draft.external_id) if draft.external_id else None
        if key and key in standing:
            receipts[place] = _compare(draft, standing[key])
        elif key and key in first:
            same = _intent(drafts[first[key]]) == _intent(draft)
            reason = f"external id {draft.external_id} stands twice in this batch"
            receipts[place] = Receipt("unchanged") if same else Receipt("conflict", None, (reason,))
        else:
            fresh.append(place)
            if key:
                first[key] = place
    return fresh


def _refuse_whole(drafts: Sequence[Draft], places: Sequence[int], receipts: list[Receipt | None]) -> None:
    """A thread of which one part is refused is not begun."""
    wrong = threads.objection([drafts[place] for place in places])
    refused = [number for number, place in enumerate(places, start=1) if receipts[place] is not None]
    if wrong is None and not refused:
        return
    reason = f"thread: {wrong}" if wrong else f"thread: part {refused[0]} of {len(places)} is refused"
    for place in places:
        receipts[place] = receipts[place] or Receipt("refused", None, (reason,))


def _keep_whole(places: Sequence[int], fresh: Sequence[int], receipts: list[Receipt | None]) -> None:
    """A thread that stands takes no part more."""
    new = [place for place in places if place in fresh]
    if new and len(new) < len(places):
        for place in new:
            receipts[place] = Receipt("conflict", None, ("thread: it stands already, without this part",))


def _judge(draft: Draft, bot: BotRow | None, too_old: datetime, assets: Mapping[UUID, MediaAsset]) -> Verdict | str:
    if bot is None:
        return f"unknown-bot: there is no bot @{draft.bot}; `vivesphere bots list` shows them all"
    if draft.expires_at is not None and draft.expires_at <= draft.due_at:
        return "expires-before-due: expires_at must lie after due_at"
    if draft.due_at <= too_old:
        return f"due-in-the-past: {draft.due_at.isoformat(timespec='seconds')} is too long ago to be sent"
    if bot.state == "retired":
        return f"bot-retired: @{bot.handle} is retired"
    found = [assets.get(asset_id) for asset_id in draft.media]
    if strange := [one for one, asset in zip(draft.media, found, strict=True) if not asset or asset.bot_id != bot.id]:
        return f"unknown-media: nothing was uploaded for @{bot.handle} as {', '.join(map(str, strange))}"
    try:
        check_together([asset.category for asset in found if asset])
    except MediaError as error:
        return f"media-together: {error}"
    return gate.judge(Case(draft, account_of(bot)))


def _refusal(judged: Verdict | str) -> Receipt | None:
    if isinstance(judged, str):
        return Receipt("refused", None, (judged,))
    if judged.allowed:
        return None
    return Receipt("refused", None, tuple(f"{finding.rule}: {finding.evidence}" for finding in judged.findings))


def _verdict(judged: Verdict | str) -> Verdict:
    if isinstance(judged, str):
        raise TypeError(judged)
    return judged


def _external_ids(
    drafts: Sequence[Draft], places: Sequence[int], known: Mapping[str, BotRow]
) -> list[tuple[UUID, str]]:
    found = ((known[drafts[place].bot.lower()].id, drafts[place].external_id) for place in places)
    return [(bot_id, external_id) for bot_id, external_id in found if external_id is not None]


def _compare(draft: Draft, post: PostRow) -> Receipt:
    """A post that was sent and came back from a retry still is the same intent: only what was written counts."""
    if (post.text, post.due_at) == (draft.text, draft.due_at):
        return Receipt("unchanged", post.id)
    what = "text" if post.text != draft.text else f"due instant ({post.due_at.isoformat(timespec='seconds')})"
    return Receipt("conflict", post.id, (f"external id {draft.external_id} stands already with another {what}",))


def _priced(at: Connections, receipt: Receipt, said: str) -> Receipt:
    prices = governor.tables(at).prices
    cost, plain = cost_usd(said, prices), prices.usd["post"]
    return replace(receipt, cost_usd=cost, dearer_times=int(cost / plain) if cost > plain else None)
