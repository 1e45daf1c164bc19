"""Words for how a bot does against its own history; `history` finds them."""

from collections.abc import Mapping
from typing import Literal

# limited: X seems to show its posts to few; below: fewer people care; early: not enough is known.
Verdict = Literal["as usual", "below", "limited", "early"]
ADVICE: Mapping[Verdict, str] = {
    "as usual": "nothing to do",
    "below": "look at what it says and when",
    "limited": "stop and review: X may be limiting the account",
    "early": "wait for more days with posts",
}
