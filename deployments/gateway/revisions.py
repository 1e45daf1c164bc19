"""If-Match: the revision that a caller saw, and that is to be changed."""

from typing import Annotated

from fastapi import Header

from deployments.gateway.problems import ProblemError

IfMatch = Annotated[str | None, Header(description="The revision that is to be changed.")]


def expected(if_match: str | None) -> int | None:
    """The revision that an If-Match names, None for whichever there is; raises 412 for what can be none of ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    bare = if_match.strip().removeprefix("W/").strip('"')
    if not (bare.isascii() and bare.isdigit() and len(bare) < 10):
        raise ProblemError(412, "stale", "If-Match is no revision of ours; it is what the ETag of the answer said")
    return int(bare)
