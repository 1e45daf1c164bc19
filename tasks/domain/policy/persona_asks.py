"""A persona of which a person reads every post before it goes out: a new voice, or one that speaks for somebody."""

from tasks.domain.policy.finding import Case, Finding, Rule

RULE = Rule(
    "persona-asks",
    "needs_approval",
    x_policy=False,
    source="approve_each in the bot's file",
    advice="let an approver read it",
)


def judge(case: Case) -> Finding | None:
    """Asks for approval of whatever such a persona says."""
    account = case.account
    return RULE.finds(f"every post of @{account.handle} is read by a person first") if account.approve_each else None
