"""The report on Prefect's page, with the pictures that the gateway serves to whoever is signed in."""

import json
import re

from playwright.async_api import expect

from deployments.local import prefect_api
from tests.browser.conftest import Opens, address
from tests.posting_stack import PostingStack
from tests.running_stack import eventually


async def test_the_report_stands_on_the_runs_page_with_its_pictures(stack: PostingStack, opens: Opens) -> None:
    """The numbers of a post that has had a day are set, as none of this session is that old."""
    [bot] = stack.sql("SELECT id FROM bots WHERE lower(handle) = lower(%s)", stack.bots[0])
    stack.sql(
        "INSERT INTO post_results (post_id, bot_id, published_at, source, measured_at, impressions, engaged)"
        " SELECT gen_random_uuid(), %s, app_now() - n * interval '1 day', 'api', app_now(), 100 + n, n"
        " FROM generate_series(2, 20) AS n RETURNING 1",
        bot["id"],
    )
    started = json.loads(stack.command("run", "report-fleet", "--json"))
    eventually(lambda: stack.running.run(started["flow_run_id"])["state_type"] == "COMPLETED", 120)
    with stack.running.api() as server:
        [shown] = prefect_api.filtered(
            server, "/artifacts", artifacts={"flow_run_id": {"any_": [started["flow_run_id"]]}}
        )
    page = (await opens("viewer")).page
    await page.goto(f"{address(stack)}/artifacts/artifact/{shown['id']}")
    await expect(page.get_by_role("cell", name=re.compile(f"@{bot_name(stack)}")).first).to_be_visible()
    for picture in await page.locator("img[src*='/metrics/reports/']").all():
        await expect(picture).to_have_js_property("complete", True)
        assert await picture.evaluate("one => one.naturalWidth") > 100
    assert await page.locator("img[src*='/metrics/reports/']").count() >= 1


def bot_name(stack: PostingStack) -> str:
    return str(stack.bots[0]).replace("_", r"\W?_")
