"""X refuses a post of more than 280 weighted characters (docs.x.com, counting characters)."""

from tasks.domain.policy.finding import Case, Finding
from tasks.domain.text_length import WEIGHTED_LENGTH_MAX, weighted_length

ID = "weighted-length"


def judge(case: Case) -> Finding | None:
    """Refuses a text that X counts as too long."""
    length = weighted_length(case.draft.text)
    if length <= WEIGHTED_LENGTH_MAX:
        return None
    return Finding(ID, "refuse", f"{length} weighted characters, X takes {WEIGHTED_LENGTH_MAX}")
