"""What a persona does not talk about."""

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import terms_in

RULE = Rule(
    "never-topics",
    "refuse",
    x_policy=False,
    source="never_topics in the bot's file",
    advice="leave it to another bot, or change the persona",
)


def judge(case: Case) -> Finding | None:
    """Refuses a text that names such a topic or has a word by which config/policies.yaml knows it."""
    for topic in case.account.never_topics:
        found = terms_in(case.draft.text, (topic, *case.policies.topics.get(topic, ())))
        if found:
            return RULE.finds(f"@{case.account.handle} never talks about {topic}: {found[0]}")
    return None
