"""The report of the fleet."""

from prefect import flow

from tasks.insight import learn_best_times, review_bots, settle_results


@flow(name="report-fleet", persist_result=False)
async def report_fleet() -> None:
    """Learn from what posts achieved.

    Posts are judged by how they stood when they were a day old. From them this run learns which hours of the week are
    good for each persona, and which bots do far worse than they used to: its log names them. Nothing is asked of X.
    Starting a run by hand does no harm.
    """
    await settle_results()
    await learn_best_times()
    await review_bots()
