"""Rotation."""

from prefect import flow

from tasks.credentials import find_due_tokens, refresh_tokens, rotation_run_name, show_refreshed


@flow(name="rotate-credentials", flow_run_name=rotation_run_name, persist_result=False)
async def rotate_credentials() -> None:
    """Refresh X's access tokens before they end.

    Each bot's token falls due at a time of its own, 5 to 15 minutes before it ends, and whatever an interrupted refresh
    left is brought to its end first. Starting a run by hand does no harm: a token that is not due is left alone, and
    one that somebody else refreshes is waited for. The table on this page says what was refreshed, what waits and why;
    a bot that needs a login waits for its owner, and its posts with it.
    """
    due = await find_due_tokens()
    if due:
        await show_refreshed(await refresh_tokens(due))
