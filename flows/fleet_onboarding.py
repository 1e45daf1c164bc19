"""Onboarding."""

from uuid import UUID

from prefect import flow

from tasks.bots import connect_bots, find_waiting_bots


@flow(name="onboard-bots", persist_result=False)
async def onboard_bots(run_request_id: UUID | None = None) -> None:
    """Sign in every bot that waits for its account.

    On the sandbox the rehearsal grants consent; on the real X only an account's owner can, and the log says by which
    command the link is had. `run_request_id` names the request that says which bots; empty: all that wait.
    """
    waiting = await find_waiting_bots(run_request_id)
    if waiting:
        await connect_bots(waiting)
