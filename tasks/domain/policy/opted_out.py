"""Who wants to hear nothing more from the bots is left alone from the next post on."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import mentions

RULE = Rule(
    "opted-out",
    "refuse",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/x-automation",
    advice="leave the mention out; nobody is taken off the list but by asking for it",
)


def judge(case: Case) -> Finding | None:
    """Refuses a mention of an account that opted out, even of one that agreed once."""
    out = {handle.lower() for handle in case.policies.opted_out}
    named = [f"@{handle}" for handle in mentions(case.draft.text) if handle in out]
    return RULE.finds(f"{', '.join(named)} opted out") if named else None
