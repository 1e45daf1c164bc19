"""X refuses a post of more than 280 weighted characters, and some characters."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.text_length import why_refused

RULE = Rule(
    "weighted-length",
    "refuse",
    x_policy=True,
    source="https://docs.x.com/fundamentals/counting-characters",
    advice="shorten it, or write it as a thread",
)


def judge(case: Case) -> Finding | None:
    """Refuses a text that X counts as too long or does not take at all."""
    if case.draft.media and not case.draft.text:
        return None
    objection = why_refused(case.draft.text)
    return RULE.finds(objection) if objection else None
