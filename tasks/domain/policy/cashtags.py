"""X takes one cashtag in a post."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import cashtags

RULE = Rule(
    "cashtags",
    "refuse",
    x_policy=True,
    source="https://docs.x.com/x-api/posts/create-post",
    advice="keep one, and write the others without their sign",
)


def judge(case: Case) -> Finding | None:
    """Refuses a text with more than one."""
    found = cashtags(case.draft.text)
    return RULE.finds(f"{len(found)} cashtags, X takes 1: {', '.join(found[:5])}") if len(found) > 1 else None
