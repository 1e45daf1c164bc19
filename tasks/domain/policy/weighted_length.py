"""X refuses a post of more than 280 weighted characters, and some characters (docs.x.com, counting characters)."""

from tasks.domain.policy.finding import Case, Finding
from tasks.domain.text_length import why_refused

ID = "weighted-length"


def judge(case: Case) -> Finding | None:
    """Refuses a text that X counts as too long or does not take at all."""
    if case.draft.media and not case.draft.text:
        return None
    objection = why_refused(case.draft.text)
    return Finding(ID, "refuse", objection) if objection else None
