"""No bot answers, quotes or names another bot of the fleet: engagement among one's own accounts is no engagement."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import mentions

RULE = Rule(
    "fleet-engagement",
    "refuse",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/authenticity",
    advice="leave the other bot out; a bot may go on in its own threads",
)


def judge(case: Case) -> Finding | None:
    """Refuses a reply to, a quote of, or a mention of another bot of the fleet."""
    mine = case.account.handle.lower()
    for what, x_post_id in (("answers", case.draft.reply_to_x_post_id), ("quotes", case.draft.quote_x_post_id)):
        author = case.seen.wrote.get(x_post_id or "")
        if author is not None and author.lower() != mine:
            return RULE.finds(f"it {what} a post of @{author}, a bot of this fleet")
    named = [handle for handle in mentions(case.draft.text) if handle in case.seen.fleet and handle != mine]
    return RULE.finds(f"it names @{named[0]}, a bot of this fleet") if named else None
