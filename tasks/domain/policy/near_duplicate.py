"""No two accounts of the fleet say the same, and none repeats itself: X calls it platform manipulation."""

from datetime import timedelta

from tasks.domain.near_duplicates import normal_form, similarity
from tasks.domain.policy.finding import Case, Finding, Rule, Said

RULE = Rule(
    "near-duplicate",
    "refuse",
    x_policy=True,
    source="https://help.x.com/en/rules-and-policies/authenticity",
    advice="let one bot say it, or write for each bot what only that bot has to say",
)


def judge(case: Case) -> Finding | None:
    """Refuses what another bot says in much the same words, and what the same bot says word for word within hours."""
    form = normal_form(case.draft.text)
    if not form:
        return None
    for said in case.seen.alike:
        share = similarity(form, normal_form(said.text))
        if _is_mine(case, said):
            if share == 1 and abs(said.planned_at - case.draft.due_at) < timedelta(hours=case.policies.repeat_hours):
                return RULE.finds(f"@{said.handle} says the very same {_when(said)}: {_short(said.text)}")
        elif share >= case.policies.alike_from:
            # Whoever reads this may see this bot alone: the words of another are not repeated.
            return RULE.finds(f"{share:.0%} the same as a post of @{said.handle} {_when(said)}")
    return None


def _is_mine(case: Case, said: Said) -> bool:
    return said.handle.lower() == case.account.handle.lower()


def _when(said: Said) -> str:
    return f"on {said.planned_at:%Y-%m-%d at %H:%M} UTC"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:60]}…"
