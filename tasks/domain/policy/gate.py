"""The policy gate: every rule looks at every draft, and one refusal is enough."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks.domain.policy import account_undisclosed, weighted_length
from tasks.domain.policy.finding import Case, Finding

RULES: Mapping[str, Callable[[Case], Finding | None]] = {
    weighted_length.ID: weighted_length.judge,
    account_undisclosed.ID: account_undisclosed.judge,
}

# A verdict is good for the rules it was made by: whoever changes what a rule says raises this.
POLICY_VERSION = "1"


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one draft under one policy version."""

    findings: tuple[Finding, ...]
    policy_version: str = POLICY_VERSION

    @property
    def allowed(self) -> bool:
        """True where no rule objects."""
        return not self.findings


def judge(case: Case) -> Verdict:
    """Ask every rule; a rule that fails is the caller's failure too, so that no post passes unjudged."""
    found = (rule(case) for rule in RULES.values())
    return Verdict(tuple(finding for finding in found if finding is not None))
