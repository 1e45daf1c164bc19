"""Posting."""

from prefect import flow

from tasks.posts import open_window, posting_run_name, publish_claimed, show_published
from tasks.reconciliation import look_for_unknown_posts, reconciling_run_name, show_reconciled


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


@flow(name="reconcile-unknown-posts", flow_run_name=reconciling_run_name, persist_result=False)
async def reconcile_unknown_posts(window_seconds: int | None = None) -> None:
    """Find out what became of posts whose answer was lost.

    A run looks at the timelines of their accounts for `window_seconds` (empty: as the settings say), and ends at once
    where nothing is in doubt. Found means published. Not found counts only after all that X took would show, and
    only twice: then the post is scheduled again, or left to a person where nobody can prove that its sender is dead.
    The log has a line for each look; the table on this page says what was seen of each post, what that led to and why.
    Starting a run by hand does no harm. `vivesphere posts held` lists what needs a person.
    """
    await show_reconciled(await look_for_unknown_posts(window_seconds))
