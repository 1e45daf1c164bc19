"""The policy gate: every rule looks at every draft, and one objection is enough."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks.domain.policy import (
    account_undisclosed,
    ai_label,
    amplification,
    blocked_terms,
    cashtags,
    fleet_engagement,
    fresh_trend,
    hidden_characters,
    link_safety,
    near_duplicate,
    never_topics,
    one_reply,
    opted_out,
    paid_partnership,
    persona_asks,
    sensitive_topics,
    unsummoned_mention,
    unsummoned_reply,
    weighted_length,
)
from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.policies import Policies

MODULES = (
    weighted_length,
    account_undisclosed,
    near_duplicate,
    amplification,
    fleet_engagement,
    unsummoned_mention,
    unsummoned_reply,
    opted_out,
    one_reply,
    cashtags,
    fresh_trend,
    blocked_terms,
    never_topics,
    sensitive_topics,
    persona_asks,
    paid_partnership,
    ai_label,
    hidden_characters,
    link_safety,
)

RULES: Mapping[str, Rule] = {module.RULE.id: module.RULE for module in MODULES}
JUDGES: Mapping[str, Callable[[Case], Finding | None]] = {module.RULE.id: module.judge for module in MODULES}


class RuleFailedError(RuntimeError):
    """A rule could not judge a draft: a defect of ours; `rule` says which."""

    def __init__(self, rule: str, cause: Exception) -> None:
        super().__init__(f"rule {rule} ended in {type(cause).__name__}")
        self.rule = rule


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one draft under one policy version; `approved_by` let pass what needs approval."""

    findings: tuple[Finding, ...]
    policy_version: str
    approved_by: str | None = None

    @property
    def refused(self) -> bool:
        """True where a rule objects that no approval overcomes."""
        return any(finding.severity == "refuse" for finding in self.findings)

    @property
    def allowed(self) -> bool:
        """True where no rule objects, or where a person let pass what needs approval."""
        return not self.findings or (self.approved_by is not None and not self.refused)


def not_ours_to_switch_off(policies: Policies) -> tuple[str, ...]:
    """What `switched_off` names in vain: X's own rules, and names of no rule."""
    return tuple(name for name in policies.switched_off if name not in RULES or RULES[name].x_policy)


def findings(case: Case) -> tuple[Finding, ...]:
    """Ask every rule. Raises RuleFailedError, so that no post passes unjudged."""
    asked = (name for name, rule in RULES.items() if rule.x_policy or name not in case.policies.switched_off)
    found = (_ask(name, case) for name in asked)
    return tuple(finding for finding in found if finding is not None)


def _ask(name: str, case: Case) -> Finding | None:
    try:
        return JUDGES[name](case)
    except Exception as error:
        raise RuleFailedError(name, error) from error
