"""Words that no bot of this house says."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import terms_in

RULE = Rule(
    "blocked-terms",
    "refuse",
    x_policy=False,
    source="blocked_terms in config/policies.yaml",
    advice="say it in other words",
)


def judge(case: Case) -> Finding | None:
    """Refuses a text in which a reader finds one of them, however it is spelt."""
    found = terms_in(case.draft.text, case.policies.blocked_terms)
    return RULE.finds(", ".join(found)) if found else None
