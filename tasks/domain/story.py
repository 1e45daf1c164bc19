"""A post's whole story in words: who wrote it, what was decided, what was tried, and why it stands where it does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One thing that happened."""

    at: datetime
    said: str


@dataclass(frozen=True)
class Story:
    """In the order of time; `now` says why the post stands where it stands, and what it waits for."""

    lines: tuple[Line, ...]
    now: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """Everything that is known of one post; rows as the store has them.

    `silences` are the stops and breakers in force over its bot, `senders_alive` the runs that beat, `policy_version`
    the gate's of this release, `allowed` whether it lets this revision pass.
    """

    post: Row
    now: datetime
    policy_version: str
    verdicts: Sequence[Row] = ()
    attempts: Sequence[Row] = ()
    looks: Sequence[Row] = ()
    changes: Sequence[Row] = ()
    silences: Sequence[Row] = ()
    senders_alive: int = 0
    late: timedelta = timedelta(seconds=5)


def tell(told: Told) -> Story:
    """The story of one post."""
    happened = [
        *_written(told.post),
        *_judged(told.verdicts),
        *_changed(told.changes),
        *_attempted(told),
        *_looked(told.looks),
        *_ended(told.post),
    ]
    lines = sorted(happened, key=lambda line: line.at)
    return Story(tuple(lines), tuple(_now(told)))


def _written(post: Row) -> Iterator[Line]:
    came = f"written by {post['created_by']}, came by {post['source']}"
    place = post["provenance"]
    if place.get("file"):
        came += f", {place['file']}" + (f" line {place['line']}" if place.get("line") else "")
    if post["external_id"]:
        came += f", called {post['external_id']} there"
    yield Line(post["created_at"], came)
    due = f"due {_utc(post['due_at'])}"
    if post["planned_at"] != post["due_at"]:
        due += f", moved to {_utc(post['planned_at'])} within its {post['spread_seconds']} s of tolerance"
    if post["expires_at"]:
        due += f", not to be sent after {_utc(post['expires_at'])}"
    if post["thread_place"]:
        due += f", part {post['thread_place']} of a thread"
    yield Line(post["created_at"], due)


def _judged(verdicts: Sequence[Row]) -> Iterator[Line]:
    for verdict in verdicts:
        said = "let" if verdict["allowed"] else "did not let"
        because = "; ".join(f"{one['rule']}: {one['evidence']}" for one in verdict["findings"])
        if verdict["approved_by"]:
            because += f"; approved by {verdict['approved_by']}"
        yield Line(
            verdict["judged_at"],
            f"the gate {said} revision {verdict['revision']} pass (policy {verdict['policy_version']})"
            + (f": {because}" if because else ""),
        )


def _changed(changes: Sequence[Row]) -> Iterator[Line]:
    for change in changes:
        before, after = change["before"] or {}, change["after"] or {}
        moved = [
            f"{name} {before[name]} -> {after[name]}" if name in before else f"{name} {after[name]}"
            for name in after
            if name != "hidden" and (not change["made_it"])
        ]
        moved += [f"{name} {value}" for name, value in change["details"].items() if not change["made_it"]]
        sealed = f"seal {change['seal']}" if change["seal"] is not None else "no seal yet"
        what = f"{change['action']} by {change['actor']} ({change['actor_kind']})"
        yield Line(
            change["at"],
            ": ".join([what, *([", ".join(moved)] if moved else [])]) + f" [audit row {change['id']}, {sealed}]",
        )


def _attempted(told: Told) -> Iterator[Line]:
    for number, attempt in enumerate(told.attempts, start=1):
        name = f"attempt {number}"
        run = f"run {attempt['flow_run_id']}" if attempt["flow_run_id"] else "a sender outside of any run"
        again = ", a resend" if attempt["resend"] else ""
        yield Line(
            attempt["marked_at"],
            f"{name} marked by {run} on {attempt['host']} (process {attempt['pid']}), revision {attempt['revision']}, "
            f"claim {attempt['lease_epoch']}{again}: may start until {_utc(attempt['start_by'])}; "
            f"${attempt['price_usd']:.3f} set aside",
        )
        if attempt["first_byte_at"]:
            late = attempt["first_byte_at"] - told.post["planned_at"]
            yield Line(attempt["first_byte_at"], f"{name}: the first byte left, {_ms(late)} after the planned instant")
        if attempt["died_at"]:
            yield Line(attempt["died_at"], f"{name}: its sender was proven dead")
        doubted = [look["looked_at"] for look in told.looks if look["attempt_id"] == attempt["id"]]
        if doubted:
            yield Line(min(doubted), f"{name}: no answer of X was written down; it was in doubt from here on")
        if attempt["ended_at"]:
            yield Line(attempt["ended_at"], f"{name}: {_outcome(attempt)}")


def _outcome(attempt: Row) -> str:
    answer = f"X answered {attempt['http_status']}" if attempt["http_status"] else "no answer"
    problem = f" ({attempt['problem']})" if attempt["problem"] else ""
    match attempt["ended"], attempt["settled_by"]:
        case "unknown", "sweeper":
            return "no outcome was written down in time: the sweeper called it unknown; it may have gone out"
        case "unknown", _:
            return f"the request left and its end is not known{problem}"
        case "not_sent", _:
            return f"no byte was handed over{problem}: not sent"
        case "accepted", "timeline":
            return f"found on the bot's timeline as {attempt['x_post_id']}"
        case "accepted", "person":
            return f"a person said that it is out as {attempt['x_post_id']}"
        case "accepted", _:
            return f"{answer}: accepted as {attempt['x_post_id']}"
        case "not_arrived", who:
            return f"{'a person said' if who == 'person' else 'the timeline showed'} that X never took it"
        case ended, _:
            return f"{answer}{problem}: {str(ended).replace('_', ' ')}"


def _looked(looks: Sequence[Row]) -> Iterator[Line]:
    words = {
        "marked": "a post with our mark",
        "alike": "one post with this text at this time",
        "several": "several posts that could be it",
        "none": "no post that could be it",
        "unreadable": "nothing, it could not be read",
    }
    for look in looks:
        found = ", ".join(look["x_post_ids"])
        seen = words[look["seen"]] + (f" ({found})" if found else "")
        yield Line(
            look["looked_at"],
            f"reconciliation looked at the bot's timeline and saw {seen}: {look['verdict']}, {look['reason']}",
        )


def _ended(post: Row) -> Iterator[Line]:
    said = f" ({post['reason']})" if post["reason"] else ""
    match post["status"]:
        case "published":
            yield Line(post["updated_at"], f"published as {post['x_post_id']}")
        case "unknown" | "held" | "refused" | "expired" | "cancelled" | "rejected" | "deleted":
            yield Line(post["updated_at"], f"{post['status']}{said}")


def _now(told: Told) -> Iterator[str]:
    post = told.post
    match post["status"]:
        case "published":
            yield f"It went out because it was due, the gate let it pass and X accepted it as {post['x_post_id']}."
            if post["cancel_wanted_at"]:
                yield f"{post['cancel_wanted_by']} cancelled it meanwhile: it is to be deleted on X."
        case "scheduled" | "claimed":
            yield from _waits(told)
        case "sending":
            yield "It is on its way: the attempt is written down, its end is not."
        case "unknown":
            yield "It may be out or not. Nothing sends it again before the bot's timeline was read."
        case "held":
            yield "It may be out or not, and what was found does not decide it: a person must settle it."
        case "cancelled":
            yield "It did not go out: a person cancelled it."
        case "awaiting_approval":
            yield f"It waits for a person: `vivesphere approvals diff {post['id']}` shows why."
        case "draft" | "rejected":
            yield f"It did not go out: it is {post['status']}{_because(post['reason'])}."
        case "deleted":
            yield f"It was out as {post['x_post_id']} and is deleted."
        case ended:
            yield f"It did not go out: {ended}{': ' + post['reason'] if post['reason'] else ''}."


def _waits(told: Told) -> Iterator[str]:
    post = told.post
    if post["bot_state"] != "active":
        yield f"It does not go out: @{post['bot']} is {post['bot_state']}."
    for silence in told.silences:
        until = f" until {_utc(silence['ends_at'])}" if silence["ends_at"] else ""
        yield f"It does not go out: {silence['said']}{until}."
    if post["before_status"] not in (None, "published"):
        yield f"It does not go out: the part before it in its thread is {post['before_status']}."
    verdict = [
        v for v in told.verdicts if v["revision"] == post["revision"] and v["policy_version"] == told.policy_version
    ]
    if not verdict:
        yield f"The gate of policy {told.policy_version} has not judged revision {post['revision']} yet: a run does so."
    if post["next_at"] > told.now:
        again = f" ({post['reason']})" if post["reason"] and post["attempts"] else ""
        yield f"It waits for its instant, {_utc(post['next_at'])}{again}."
    elif told.now - post["next_at"] > told.late:
        yield f"It is late by {round((told.now - post['next_at']).total_seconds())} s{_because(post['reason'])}."
        if not told.senders_alive:
            yield "No run of publish-due-posts is alive: nobody sends."


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _utc(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _ms(late: timedelta) -> str:
    return f"{round(late.total_seconds() * 1000)} ms"
