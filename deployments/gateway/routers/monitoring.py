"""What Prometheus reads."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from deployments.gateway import prometheus
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor

router = APIRouter(tags=["monitoring"])


@router.get("/metrics", response_class=Response)
async def metrics(
    caller: Annotated[Actor, needs("monitoring.read")],
    at: Opened,
    accept: Annotated[str, Header(max_length=1000)] = "",
) -> Response:
    """Every figure about the fleet and the stack, as text for Prometheus or, where it asks so, for OpenMetrics."""
    text, media_type = await prometheus.written(at, accept)
    return Response(text, media_type=media_type)
