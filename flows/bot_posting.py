"""Posting."""

from prefect import flow

from tasks.posts import open_window, posting_run_name, publish_claimed, show_published


@flow(name="publish-due-posts", flow_run_name=posting_run_name, persist_result=False)
async def publish_due_posts(window_seconds: int | None = None) -> None:
    """Send every post that falls due, each at its own instant.

    A run serves `window_seconds` (empty: as the settings say, and then until its successor is there). Two or more at
    once are normal: the rows in Postgres decide who sends what, so starting one by hand does no harm. Each claim of
    due posts is one task run below; its log says what went out, what did not, and why.
    """
    async with open_window(window_seconds) as window:
        async for claim in window:
            window.sending(publish_claimed(claim))
    await show_published(window.results)
