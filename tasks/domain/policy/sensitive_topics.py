"""Civic life, health and money: a person looks before a bot speaks of them."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import terms_in

RULE = Rule(
    "sensitive-topics",
    "needs_approval",
    x_policy=False,
    source="sensitive and topics in config/policies.yaml",
    advice="let an approver read it",
)


def judge(case: Case) -> Finding | None:
    """Asks for approval of a text with a word of a sensitive topic."""
    for topic in case.policies.sensitive:
        found = terms_in(case.draft.text, case.policies.topics.get(topic, ()))
        if found:
            return RULE.finds(f"{topic}: {', '.join(found[:5])}")
    return None
