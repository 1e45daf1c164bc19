"""Is the gateway fit to serve? Open to everybody, because load balancers and `vivesphere up` ask."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from deployments.gateway.problems import answer

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The one good answer; every other one is a problem document with 503. `stack` tells stacks of a machine apart."""

    status: Literal["ok"] = "ok"
    stack: str


@router.get("/health", responses={503: {"description": "Something behind the gateway is missing."}})
async def health(request: Request) -> Health:
    """Whether database and vault can be reached."""
    problem = await request.app.state.opening.problem()
    if problem is None:
        return Health(stack=request.app.state.stack)
    return _unfit(problem)  # type: ignore[return-value]  # FastAPI passes a Response on as it is


def _unfit(problem: str) -> Response:
    return answer(503, "not-ready", problem, headers={"Retry-After": "1"})
