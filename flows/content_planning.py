"""Content planning."""

from uuid import UUID

from prefect import flow

from tasks.content import plan_content, read_all_feeds


@flow(name="plan-posts", persist_result=False)
async def plan_posts(run_request_id: UUID | None = None) -> None:
    """Plan what bots will say: templates and evergreen texts, at free turns, through the same gate as any post.

    The daily run plans for those whose persona says `plan_ahead_days`; `vivesphere content plan` looks first and plans
    on demand. Starting a run twice does no harm: what stands stays, only empty turns are filled. The table on this page
    is the calendar and its price. What the gate refused, or for which a template has no data left, is in the log.
    """
    await plan_content(run_request_id)


@flow(name="read-feeds", persist_result=False)
async def read_feeds() -> None:
    """Read the feeds of bots; each new entry becomes one draft, at a free turn of its bot, which a person releases.

    The drafts are listed by `vivesphere posts list --status draft`, and `vivesphere posts release` lets them go. What a
    feed holds when it is first read is taken for old. Starting a run by hand does no harm: an entry becomes a draft
    once. The table on this page says what each feed brought and which could not be read; such a feed keeps its last
    good time.
    """
    await read_all_feeds()
