"""What a rule says of a draft."""

from dataclasses import dataclass
from typing import Literal

from tasks.domain.posts import Draft


@dataclass(frozen=True)
class Account:
    """What the rules need to know of the bot that is to speak."""

    handle: str
    operator_handle: str
    label_confirmed: bool
    bio_names_operator: bool


@dataclass(frozen=True)
class Finding:
    """A rule that objects: its id, how hard, and what was seen."""

    rule: str
    severity: Literal["refuse", "needs_approval"]
    evidence: str


@dataclass(frozen=True)
class Case:
    """One draft and the account it is for: what every rule looks at."""

    draft: Draft
    account: Account
