"""Runs of flows that people ask for: what they want is written down first, and the flow trusts that row alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from blocks.prefect_api import Deployment, FlowRun, PrefectApi
from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.store import run_requests

# A flow that takes arguments has this one parameter: parameters carry no authority, the row they name does.
REQUEST = "run_request_id"


class NoSuchDeploymentError(LookupError):
    """There is no such deployment on our work pool; the message names the ones there are."""


class NoSuchRunError(LookupError):
    """Prefect knows no run with this id."""


class FleetWideError(PermissionError):
    """The flow works on all bots, and the actor's role is for a label."""


class NoArgumentsError(ValueError):
    """Arguments were given for a flow that takes none."""


@dataclass(frozen=True)
class Started:
    """A request, and the flow run that serves it."""

    request_id: UUID
    deployment: str
    run: FlowRun


@dataclass(frozen=True)
class After:
    """Where a list of runs goes on: not after `started_at`, and without those of that very instant that were told."""

    started_at: datetime | None
    run_ids: tuple[UUID, ...]


@dataclass(frozen=True)
class Part:
    """Runs, and where the list goes on; None at its end."""

    runs: Sequence[FlowRun]
    next: After | None


async def start(at: Connections, deployment: str, arguments: Mapping[str, Any], actor: Actor) -> Started:
    """Start `flow/deployment`, or the only deployment of `flow`; it works within the labels of the actor's role.

    A request whose run Prefect did not create stays without a run id, and nothing serves it later.
    """
    within = actor.within("runs.start")
    async with PrefectApi(at.places) as prefect:
        found = await _deployment(prefect, deployment)
        if within is not None and REQUEST not in found.parameters:
            raise FleetWideError(f"{found.name} works on all bots at once: it takes a role for everything")
        if arguments and REQUEST not in found.parameters:
            raise NoArgumentsError(f"{found.name} takes no arguments; leave out {', '.join(sorted(arguments))}")
        async with at.transaction() as session:
            request_id = await run_requests.add(session, found.name, arguments, actor.name, within)
            await activity.note(session, actor, "runs.start", found.name, request_id=str(request_id))
        parameters = {REQUEST: str(request_id)} if REQUEST in found.parameters else {}
        run = await prefect.start(found.id, parameters, idempotency_key=str(request_id))
    async with at.transaction() as session:
        await run_requests.served(session, request_id, run.id)
    return Started(request_id, found.name, run)


async def get(at: Connections, run_id: UUID, actor: Actor) -> FlowRun:
    """One run as it stands; raises NoSuchRunError."""
    within = actor.within("runs.read")
    if within is not None:
        async with at.transaction() as session:
            if not await run_requests.is_within(session, run_id, within):
                raise NoSuchRunError(f"there is no run {run_id}")
    async with PrefectApi(at.places) as prefect:
        found = await prefect.run(run_id)
    if found is None:
        raise NoSuchRunError(f"there is no run {run_id}")
    return found


async def recent(at: Connections, actor: Actor, deployment: str | None, after: After | None, limit: int) -> Part:
    """The latest runs, of one deployment or of all; for a role with a label those that were asked for within it, the
    latest asked for first."""
    within = actor.within("runs.read")
    async with PrefectApi(at.places) as prefect:
        found = await _deployment(prefect, deployment) if deployment else None
        if within is None:
            before, told = (after.started_at, after.run_ids) if after else (None, ())
            runs = await prefect.recent(found.id if found else None, limit + 1, before, told)
            return Part(runs[:limit], _after(runs[:limit], after) if len(runs) > limit else None)
        last = after.run_ids[-1] if after else None
        async with at.transaction() as session:
            ids = await run_requests.runs_within(session, within, found.name if found else None, last, limit + 1)
        # Prefect may have forgotten some of them.
        return Part(await prefect.runs(ids[:limit]), After(None, (ids[limit - 1],)) if len(ids) > limit else None)


def _after(runs: Sequence[FlowRun], before: After | None) -> After:
    started_at = runs[-1].started_at
    told = before.run_ids if before and before.started_at == started_at else ()
    return After(started_at, (*told, *(run.id for run in runs if run.started_at == started_at)))


async def _deployment(prefect: PrefectApi, name: str) -> Deployment:
    flow, slash, _ = name.partition("/")
    fitting = [one for one in await prefect.deployments(flow) if not slash or one.name == name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(one.name for one in fitting)
        raise NoSuchDeploymentError(f"the flow '{flow}' has several deployments; name one of {names}")
    names = ", ".join(one.name for one in await prefect.deployments()) or "none"
    raise NoSuchDeploymentError(f"there is no deployment '{name}'; there are: {names}")
