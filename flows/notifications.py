"""Notifications."""

from uuid import UUID

from prefect import flow

from tasks.notifications import About, find_alarms, show_told, tell_operators


@flow(name="notify-operators", persist_result=False)
async def notify_operators(
    about: About = "alarms", failed_run_id: UUID | None = None, run_request_id: UUID | None = None
) -> None:
    """Tell operators what is wrong, on every channel that wants to hear of it.

    `about` is `alarms` (what is wrong now), `morning` (what went out and what waits for a person), or `run` with the
    run that failed; `run_request_id` names the request to try a channel. What was told within
    `notifications.repeat_seconds` is not told again, so starting a run by hand does no harm. The run fails where a
    channel could not be told after all tries: `vivesphere notify log` says why. Channels are kept by
    `vivesphere notify channels`, their addresses and secrets by the vault.
    """
    found = await find_alarms(about, failed_run_id, run_request_id)
    await show_told(await tell_operators(found))
