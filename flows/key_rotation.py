"""Rotation."""

from prefect import flow

from tasks.credentials import (
    find_due_rotations,
    find_due_tokens,
    refresh_tokens,
    renew_leases,
    rotate,
    rotation_run_name,
    show_refreshed,
    show_rotated,
)


@flow(name="rotate-credentials", flow_run_name=rotation_run_name, persist_result=False)
async def rotate_credentials() -> None:
    """Refresh X's access tokens before they end, then rotate every other credential that has reached its age.

    Each bot's token falls due at a time of its own, 5 to 15 minutes before it ends, and whatever an interrupted refresh
    left is brought to its end first. Starting a run by hand does no harm: a token that is not due is left alone, and
    one that somebody else refreshes is waited for. The table on this page says what was refreshed, what waits and why;
    a bot that needs a login waits for its owner, and its posts with it.

    The other credentials follow in the order of the plan: a new version is created, set, tested and put to use, and the
    one before ends after its grace. A run that is killed is gone on with by the next one. Where a new version fails its
    test, the one in use stays, this run fails, and nothing after it is touched.
    """
    tokens = await find_due_tokens()
    if tokens:
        await show_refreshed(await refresh_tokens(tokens))
    await renew_leases()
    rotations = await find_due_rotations()
    if rotations:
        await show_rotated(await rotate(rotations))
