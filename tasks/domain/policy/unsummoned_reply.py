"""A bot answers only who called it; that somebody did is for a person to see."""

from tasks.domain.policy.finding import Case, Finding, Rule

RULE = Rule(
    "unsummoned-reply",
    "needs_approval",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/x-automation",
    advice="look whether the post it answers names or quotes the bot, and approve it only then",
)


def judge(case: Case) -> Finding | None:
    """Asks for approval of a reply to a post that no bot of the fleet wrote."""
    answered = case.draft.reply_to_x_post_id
    if answered is None or answered in case.seen.wrote:
        return None
    return RULE.finds(f"it answers post {answered} of somebody else")
