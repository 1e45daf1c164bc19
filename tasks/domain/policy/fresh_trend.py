"""Trends are insight: nobody posts to one for being seen, and a name just risen is where that begins."""

from datetime import timedelta

from tasks.domain.policy.finding import Case, Finding, Rule
from tasks.domain.policy.words import terms_in

RULE = Rule(
    "fresh-trend",
    "needs_approval",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/x-automation",
    advice="say it without the trend's name, wait, or let an approver see that it is the bot's own subject",
)


def judge(case: Case) -> Finding | None:
    """Asks for approval of a text with the name of a trend that was first seen within the hours of the setting."""
    now = case.seen.now
    if now is None:
        return None
    young = timedelta(hours=case.policies.trend_hours)
    # The name with its sign is found by the name without it.
    fresh = {trend.name.removeprefix("#"): trend for trend in case.seen.trends if now - trend.first_seen_at < young}
    found = terms_in(case.draft.text, fresh)
    if not found:
        return None
    trend = fresh[found[0]]
    hours = int((now - trend.first_seen_at) / timedelta(hours=1))
    return RULE.finds(f"{trend.name} was first seen as a trend {hours} hours ago")
