"""The report of the fleet."""

from uuid import UUID

from prefect import flow

from tasks.insight import learn_best_times, make_report, review_bots, settle_results


@flow(name="report-fleet", persist_result=False)
async def report_fleet(run_request_id: UUID | None = None) -> None:
    """Learn from what posts achieved, and report on it.

    Posts are judged by how they stood when they were a day old. From them this run learns which hours of the week are
    good for each persona, and which bots do far worse than they used to: its log names them. The report stands on this
    page (artifact fleet-report), and as one HTML file by `vivesphere metrics report --latest`. `run_request_id` names
    the request that says for which label and how many days; empty: the whole fleet. Nothing is asked of X. Starting a
    run by hand does no harm.
    """
    await settle_results()
    await learn_best_times()
    await review_bots()
    await make_report(run_request_id)
