"""Trends."""

from prefect import flow

from blocks.trend_sources.source import SourceClass
from tasks.trends import read_sources, score_trends, take_sources


@flow(name="scrape-trends", flow_run_name="trends by {source_class}", persist_result=False)
async def scrape_trends(source_class: SourceClass = "rss") -> None:
    """Read the sources of one class that are due, and find out what rises by all of them.

    `source_class` is `rss`, `api`, `html`, or `x`, which nothing asks yet. A source that does not give what it should
    leaves when it was good last, and a reason: `vivesphere trends sources` shows both, and no run fails by it. Nothing
    is asked until the setting trend_sources.contact says who answers for it. Starting a run by hand does no harm: what
    is not due is not read. Trends are for people to look at; nothing here writes or plans a post.
    """
    due = await take_sources(source_class)
    read = await read_sources(source_class, due)
    await score_trends(read)
