"""What a post is, and where it goes when something happens to it."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from tasks.domain.misfire import Misfire
from tasks.domain.personas import Handle

Status = Literal[
    "draft",
    "awaiting_approval",
    "rejected",
    "scheduled",
    "claimed",
    "sending",
    "published",
    "refused",
    "unknown",
    "held",
    "cancelled",
    "expired",
    "deleted",
]
# `not_arrived` is said of an attempt whose answer was lost, by evidence or by a person, and never by its sender.
# Why X takes nothing of an app or a bot for now; of policy refusals it takes several.
Cause = Literal["credits", "usage_capped", "suspended", "policy_refusals"]
Ended = Literal["accepted", "not_sent", "throttled", "refused", "unauthorized", "unknown", "not_arrived"]
ReplySettings = Literal["following", "mentionedUsers", "subscribers", "verified"]
XPostId = Annotated[str, Field(pattern=r"^[0-9]{1,19}$")]

# What an attempt in doubt remembers where X refused it as said already.
DUPLICATE = "duplicate-on-resend"

CANCELLABLE: frozenset[Status] = frozenset({"draft", "awaiting_approval", "scheduled", "claimed"})


class Poll(BaseModel):
    """A question with two to four answers; source: X API v2, schema CreatePostsPoll."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    options: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=25)], ...], Field(min_length=2, max_length=4)
    ]
    duration_minutes: Annotated[int, Field(ge=5, le=10_080)] = 1440


FILE_CHARACTERS_MAX = 200


class Origin(BaseModel):
    """Where a draft was read from: a file by its name, and the line in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Annotated[str, Field(min_length=1, max_length=FILE_CHARACTERS_MAX)]
    line: Annotated[int, Field(ge=1)] | None = None


class Draft(BaseModel):
    """A post somebody wants sent: what YAML, CSV and REST hand in.

    `external_id` is the writer's own name for it: the same one twice for a bot is the same post. `template` is his name
    for the text that it was made from, by which metrics compare. It leaves up to
    `spread_seconds` after it is due. Drafts of a bot that stand in one batch under the same `thread` are its parts, in
    that order. `media` are ids of what was uploaded for this bot. `misfire` says what becomes of it when it could not
    leave in time; `misfire_within_seconds` is for `send_if_within`, and the settings say it where it is absent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bot: Handle
    text: Annotated[str, Field(max_length=25_000)] = ""
    due_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    spread_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    misfire: Misfire = "send_if_within"
    misfire_within_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = None
    external_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    template: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    reply_to_x_post_id: XPostId | None = None
    quote_x_post_id: XPostId | None = None
    thread: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    media: Annotated[tuple[UUID, ...], Field(max_length=4)] = ()
    poll: Poll | None = None
    reply_settings: ReplySettings | None = None
    made_with_ai: bool = False
    paid_partnership: bool = False
    origin: Origin | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        attached = [
            name
            for name, there in (("media", self.media), ("poll", self.poll), ("quote_x_post_id", self.quote_x_post_id))
            if there
        ]
        if len(attached) > 1:
            raise ValueError(f"{' and '.join(attached)} exclude each other")
        if not self.text and not self.media:
            raise ValueError("write a text, or name media to show")
        return self

    @property
    def misfire_within(self) -> timedelta | None:
        """How late it may be sent; None leaves it to the settings."""
        return None if self.misfire_within_seconds is None else timedelta(seconds=self.misfire_within_seconds)


class Change(BaseModel):
    """What is to be different of a post that is not on its way yet; what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(max_length=25_000)] | None = None
    due_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    spread_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    misfire: Misfire | None = None
    misfire_within_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = None


@dataclass(frozen=True)
class Left:
    """How many posts X says that it still takes, of an account or of the app, until `resets_at`."""

    per: Literal["user", "app"]
    remaining: int
    resets_at: datetime


@dataclass(frozen=True)
class Outcome:
    """How one attempt to create a post ended.

    `problem` is X's problem type or our own word for it; `retry_at` is set where X said when to come again.
    `duplicate`: X refused it because the account has said the same already. `published_at` is set where X's own clock
    tells when it took the post. `silences` is set where X's answer is about the account or the app, not the post.
    """

    ended: Ended
    first_byte_at: datetime | None = None
    x_post_id: str | None = None
    http_status: int | None = None
    problem: str | None = None
    detail: str | None = None
    retry_at: datetime | None = None
    duplicate: bool = False
    published_at: datetime | None = None
    silences: Cause | None = None
    left: tuple[Left, ...] = ()

    @property
    def said(self) -> str:
        """The problem and its details for people."""
        return ": ".join(part for part in (self.problem, self.detail) if part) or self.ended


@dataclass(frozen=True)
class NextStep:
    """Where a post goes after an attempt; `retry_at` is the earliest next attempt."""

    status: Status
    reason: str | None = None
    retry_at: datetime | None = None


def after_attempt(outcome: Outcome, now: datetime, retry: timedelta) -> NextStep:
    """Where a post goes once an attempt ended; `unknown` is never sent again without evidence.

    What X throttled or never saw goes out later, however often that was: its misfire policy alone ends it.
    """
    match outcome.ended:
        case "accepted":
            return NextStep("published")
        case "unknown":
            return NextStep("unknown", outcome.said)
        case "refused" if outcome.silences in ("credits", "usage_capped", "suspended"):
            # The post is as good as it was: it waits behind the breaker.
            return NextStep("scheduled", outcome.said, now + retry)
        case "refused":
            return NextStep("refused", outcome.said)
        case "unauthorized":
            return NextStep("scheduled", "X refused the bot's token", now + retry)
        case "throttled":
            # X made no post of it and says so: it waits for X's window.
            return NextStep("scheduled", outcome.said, max(outcome.retry_at or now, now + retry))
    return NextStep("scheduled", outcome.said, now + retry)


def on_resend(outcome: Outcome) -> Outcome:
    """The outcome of a post that was sent before and perhaps arrived: a duplicate is a reason to look, never proof."""
    return replace(outcome, ended="unknown", problem=DUPLICATE) if outcome.duplicate else outcome


def folded(text: str) -> str:
    """Equal for two texts that X would take for the same: NFC, white space folded."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip()


def fingerprint(text: str) -> bytes:
    """Equal for two texts that X would take for the same."""
    return hashlib.sha256(folded(text).encode()).digest()


def traceparent(attempt_id: UUID) -> str:
    """W3C trace context of one attempt: X's side and ours can be joined by it."""
    return f"00-{attempt_id.hex}-{attempt_id.hex[16:]}-01"
