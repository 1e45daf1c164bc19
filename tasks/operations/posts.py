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
from tasks.domain.policy.finding import Finding
from tasks.domain.posts import CANCELLABLE, Change, Draft
from tasks.domain.roles import Actor
from tasks.domain.schedule import planned
from tasks.operations import activity, approving, gate, governor
from tasks.operations.gate import Asked, Judged
from tasks.store import approvals, attempts, base, bots, deletions, media, posts, revisions, verdicts
from tasks.store.bots import BotRow
from tasks.store.media import MediaAsset
from tasks.store.posts import PostRow

Source = Literal["cli", "csv", "api", "demo", "plan"]
# What whoever hands posts in may say of them; a plan hands in its own.
HandedIn = Literal["cli", "csv", "api", "demo"]


# Why a part that no rule objects to waits too.
OTHER_PART = "thread: another part of it waits for an approval"


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

    `scheduled`: it stands now (with `dry_run`: it would). `awaiting_approval`: it stands and a person decides, for the
    `reasons`. `unchanged`: the same one stood already. `conflict`: its
    external id belongs to a post that says something else. `refused`: `reasons` name rule and evidence. `cost_usd` is
    what X asks for a post that is scheduled, `dearer_times` how often that of one without a link where it has one.
    """

    result: Literal["scheduled", "awaiting_approval", "unchanged", "conflict", "refused"]
    post_id: UUID | None = None
    reasons: tuple[str, ...] = ()
    cost_usd: Decimal | None = None
    dearer_times: int | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class PostHistory:
    """A post with every verdict and every attempt."""

    post: PostRow
    verdicts: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    revisions: Sequence[Mapping[str, Any]]
    media: Sequence[MediaAsset]


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
        receipts: list[Receipt | None] = [
            _objection(draft, known.get(draft.bot.lower()), too_old, assets) for draft in drafts
        ]
        # Before we look what stands: the same batch may be sent twice at once.
        await gate.lock(
            at, session, [draft for draft, receipt in zip(drafts, receipts, strict=True) if receipt is None]
        )
        fresh, twins = await _new_ones(session, drafts, known, receipts)
        ids = dict(zip(fresh, await posts.new_ids(session, len(fresh)), strict=True))
        asked = [_asked(ids[place], 1, drafts[place], known[drafts[place].bot.lower()]) for place in fresh]
        judged = dict(zip(fresh, await gate.judge(at, session, asked), strict=True))
        for place in fresh:
            receipts[place] = _refusal(judged[place])
        for place, first in twins.items():
            receipts[place] = receipts[first] or receipts[place]
        groups = threads.groups(drafts)
        for places in groups:
            _refuse_whole(drafts, places, receipts)
            _keep_whole(places, fresh, receipts)
        ids = {place: post_id for place, post_id in ids.items() if receipts[place] is None}
        # A draft is judged anew when it is released, and asks a person then.
        waiting = {} if as_draft else _waiting(ids, judged, groups)
        if dry_run:
            added = set(ids.values())
        else:
            rows = {post_id: (drafts[place], known[drafts[place].bot.lower()].id) for place, post_id in ids.items()}
            parts = [[ids[place] for place in places] for places in groups if places[0] in ids]
            status: Literal["draft", "scheduled"] = "draft" if as_draft else "scheduled"
            held = [ids[place] for place in waiting]
            added = await posts.add(session, rows, source, actor.name, parts, status, held)
            await media.attach(session, {post_id: rows[post_id][0].media for post_id in added})
            kept = [judged[place] for place, post_id in ids.items() if post_id in added]
            await gate.keep(session, kept)
            questions = [
                approving.question(judged[p], actor.name, rules) for p, rules in waiting.items() if ids[p] in added
            ]
            await approvals.ask(session, questions, approving.patience(at))
            changes = {
                str(post_id): (bot_id, _told(draft, source))
                for post_id, (draft, bot_id) in rows.items()
                if post_id in added
            }
            await activity.note_each(session, actor, "posts.schedule", changes, source=source)
        for place, post_id in ids.items():
            # One that was not added stands by now: somebody stored its external id between our look and our insert.
            stored = None if dry_run else post_id
            made = Receipt("scheduled", stored)
            if place in waiting:
                made = _awaiting(stored, judged[place])
            receipts[place] = _priced(at, made, drafts[place].text) if post_id in added else Receipt("unchanged")
    return [receipt for receipt in receipts if receipt is not None]


async def check(at: Connections, drafts: Sequence[Draft], actor: Actor) -> list[tuple[Receipt, str]]:
    """What scheduling would answer, each with the policy version by which; nothing is stored."""
    version = gate.in_force(at).version
    return [(receipt, version) for receipt in await schedule(at, drafts, actor, "api", dry_run=True)]


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
        await approvals.void(session, [post_id], actor.name)
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
        seen = await posts.get(session, post_id, actor.within("posts.schedule"))
        if seen is None:
            raise NoSuchPostError(str(post_id))
        # The locks of what could be alike come before any row: what was read before them must stand still afterwards.
        unlocked = await revisions.draft_of(session, post_id)
        wanted = unlocked if change.text is None else unlocked.model_copy(update={"text": change.text})
        await gate.lock(at, session, [wanted])
        await posts.lock(session, post_id)
        post = await posts.get(session, post_id)
        if post is None:
            raise NoSuchPostError(str(post_id))
        if revision is not None and revision != post.revision:
            raise StaleError(post.revision)
        if post.status not in CANCELLABLE:
            raise TooLateError(post.status)
        changed = change.model_dump(exclude_unset=True)
        before = await revisions.draft_of(session, post_id)
        if before.text != unlocked.text:
            raise StaleError(post.revision)
        try:
            draft = Draft.model_validate({**before.model_dump(), **changed})
        except ValidationError as error:
            return post, Receipt("refused", None, tuple(one["msg"] for one in error.errors(include_url=False)))
        bot = (await bots.by_handles(session, [post.bot]))[post.bot.lower()]
        too_old = await base.now(session) - timedelta(seconds=at.places.settings.posting.misfire_grace_seconds)
        wrong = _objection(draft, bot, too_old, await media.assets(session, set(draft.media)))
        [judged] = await gate.judge(at, session, [_asked(post_id, post.revision + 1, draft, bot)])
        if (refused := wrong or _refusal(judged)) is not None:
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
        await gate.keep(session, [judged])
        waits = judged.waits or (post.status == "awaiting_approval" and post.thread_id is not None)
        await approvals.void(session, [post_id], actor.name)
        if waits:
            rules = approving.rules_of(judged) or ("thread",)
            await approvals.ask(session, [approving.question(judged, actor.name, rules)], approving.patience(at))
        await posts.let_wait(session, post_id, waits)
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
        made = _awaiting(post_id, judged) if waits else Receipt("scheduled", post_id)
        return await posts.get(session, post_id) or post, made


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
) -> tuple[list[int], dict[int, int]]:
    """The places of drafts that do not stand yet; those that do get their receipts.

    Also the places of drafts that stand earlier in the batch already, each with that earlier place.
    """
    open_at = [place for place, receipt in enumerate(receipts) if receipt is None]
    standing = await posts.by_external_ids(session, _external_ids(drafts, open_at, known))
    fresh: list[int] = []
    twins: dict[int, int] = {}
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
            if same:
                twins[place] = first[key]
        else:
            fresh.append(place)
            if key:
                first[key] = place
    return fresh, twins


def _refuse_whole(drafts: Sequence[Draft], places: Sequence[int], receipts: list[Receipt | None]) -> None:
    """A thread of which one part is refused is not begun."""
    wrong = threads.objection([drafts[place] for place in places])
    refused = [
        number
        for number, receipt in enumerate((receipts[place] for place in places), start=1)
        if receipt is not None and receipt.result in ("refused", "conflict")
    ]
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


def _objection(
    draft: Draft, bot: BotRow | None, too_old: datetime, assets: Mapping[UUID, MediaAsset]
) -> Receipt | None:
    """What is wrong with a draft before any rule is asked."""
    wrong = _wrong(draft, bot, too_old, assets)
    return Receipt("refused", None, (wrong,)) if wrong else None


def _wrong(draft: Draft, bot: BotRow | None, too_old: datetime, assets: Mapping[UUID, MediaAsset]) -> str | None:
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
    return None


def _asked(post_id: UUID, revision: int, draft: Draft, bot: BotRow) -> Asked:
    return Asked(post_id, revision, draft, bot, planned(draft.due_at, draft.spread_seconds, draft.expires_at, post_id))


def _refusal(judged: Judged) -> Receipt | None:
    if judged.verdict is None:
        return Receipt("refused", None, judged.reasons)
    if not judged.verdict.refused:
        return None
    return Receipt("refused", None, judged.reasons, findings=judged.verdict.findings)


def _awaiting(post_id: UUID | None, judged: Judged) -> Receipt:
    findings = judged.verdict.findings if judged.verdict else ()
    return Receipt("awaiting_approval", post_id, judged.reasons or (OTHER_PART,), findings=findings)


def _waiting(
    ids: Mapping[int, UUID], judged: Mapping[int, Judged], groups: Sequence[Sequence[int]]
) -> dict[int, Sequence[str]]:
    """The places of what waits for a person, each with the rules that ask; a thread waits as a whole."""
    found: dict[int, Sequence[str]] = {place: approving.rules_of(judged[place]) for place in ids if judged[place].waits}
    for places in groups:
        if any(place in found for place in places):
            found |= {place: ("thread",) for place in places if place in ids and place not in found}
    return found


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
