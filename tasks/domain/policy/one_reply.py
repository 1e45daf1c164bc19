"""One reply for each interaction: who was answered once by the fleet is not answered again."""

from tasks.domain.policy.finding import Case, Finding, Rule

RULE = Rule(
    "one-reply",
    "refuse",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/x-automation",
    advice="let the first reply stand, or cancel it first",
)


def judge(case: Case) -> Finding | None:
    """Refuses a second reply of the fleet to the same post of somebody else; a bot's own threads go on."""
    answered = case.draft.reply_to_x_post_id
    if answered is None or answered in case.seen.wrote:
        return None
    by = case.seen.answered.get(answered)
    return RULE.finds(f"@{by} answers post {answered} already") if by else None
