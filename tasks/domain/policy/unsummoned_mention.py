"""A bot names nobody who did not ask for it."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import mentions

RULE = Rule(
    "unsummoned-mention",
    "refuse",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/x-automation",
    advice="leave the mention out, or put an account that agreed into mentions_allowed of config/policies.yaml",
)


def judge(case: Case) -> Finding | None:
    """Refuses a mention of anybody but the bot, its operator, and accounts that agreed."""
    known = {case.account.handle, case.account.operator_handle, *case.policies.mentions_allowed}
    # What another rule refuses by its better name is not said twice.
    known |= case.seen.fleet
    folded = {handle.lower() for handle in known}
    strange = [f"@{handle}" for handle in mentions(case.draft.text) if handle not in folded]
    return RULE.finds(f"it names {', '.join(strange)}, who did not ask for it") if strange else None
