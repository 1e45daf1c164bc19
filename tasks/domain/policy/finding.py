"""What a rule looks at, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tasks.domain.policy.policies import Policies
from tasks.domain.posts import Draft

Severity = Literal["refuse", "needs_approval"]


@dataclass(frozen=True)
class Rule:
    """One rule as people read it; `x_policy`: it is X's own, and nobody here can switch it off or overrule it.

    `source` is where X says so, `advice` what to do about a finding.
    """

    id: str
    severity: Severity
    x_policy: bool
    source: str
    advice: str

    def finds(self, evidence: str) -> "Finding":
        """That this rule objects, and to what."""
        return Finding(self.id, self.severity, evidence, self.advice)


@dataclass(frozen=True)
class Finding:
    """A rule that objects: its id, how hard, what was seen, and what to do."""

    rule: str
    severity: Severity
    evidence: str
    advice: str = ""

    @property
    def said(self) -> str:
        """Rule and evidence in a line."""
        return f"{self.rule}: {self.evidence}"


@dataclass(frozen=True)
class Account:
    """What the rules need to know of the bot that is to speak."""

    handle: str
    operator_handle: str
    label_confirmed: bool
    bio_names_operator: bool
    never_topics: tuple[str, ...] = ()
    approve_each: bool = False


@dataclass(frozen=True)
class Said:
    """What a bot of the fleet has said, or is to say, in much the same words."""

    handle: str
    text: str
    planned_at: datetime


@dataclass(frozen=True)
class Trend:
    """A name that trends, and when we first saw it."""

    name: str
    first_seen_at: datetime


@dataclass(frozen=True)
class Seen:
    """What is known of the fleet, looked up for one draft.

    `alike` are candidates for the same text. `carried`: which other bots carry the same link, hashtag or quoted post in
    these days. `fleet`: which of the accounts that it names are bots of the fleet, in lower case. `wrote`: who of the
    fleet wrote a post that it answers or quotes. `answered`: posts that one of ours answers already.
    """

    now: datetime | None = None
    alike: tuple[Said, ...] = ()
    carried: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fleet: frozenset[str] = frozenset()
    wrote: Mapping[str, str] = field(default_factory=dict)
    answered: Mapping[str, str] = field(default_factory=dict)
    trends: tuple[Trend, ...] = ()


@dataclass(frozen=True)
class Case:
    """One draft, the account it is for, what the fleet says, and what people have set: what every rule looks at."""

    draft: Draft
    account: Account
    seen: Seen = Seen()
    policies: Policies = Policies()
