"""An automated account says so: X's automation rules ask for the label and for who runs it."""

from tasks.domain.policy.finding import Case, Finding, Rule

RULE = Rule(
    "account-undisclosed",
    "refuse",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/x-automation",
    advice="set the label on X and name the operator in the bio, then confirm both in the bot's file",
)


def judge(case: Case) -> Finding | None:
    """Refuses where the label was not confirmed by a person, or the bio does not name the operator."""
    account = case.account
    missing = []
    if not account.label_confirmed:
        missing.append("no person has confirmed X's automation label (automation_label in the bot's file)")
    if not account.bio_names_operator:
        missing.append(f"the bio on X does not name @{account.operator_handle}")
    return RULE.finds(f"@{account.handle}: " + "; ".join(missing)) if missing else None
