"""What an operator does and sees in Prefect's own pages."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect
from prefect.blocks.core import Block

from blocks.postgres.block import PostgresServer
from blocks.vault.block import VaultServer
from blocks.x.block import XApi
from config.settings import Settings
from tests.browser.conftest import Opens, address
from tests.posting_stack import POSTING, PostingStack
from tests.running_stack import eventually

POOL = Settings().prefect.work_pool
FLOW, _, DEPLOYMENT = POSTING.partition("/")


async def open_deployment(page: Page) -> None:
    await page.get_by_role("link", name="Deployments").click()
    await page.get_by_role("row").filter(has_text=FLOW).get_by_role("link", name=DEPLOYMENT).click()
    await expect(page.get_by_role("tab", name="Upcoming")).to_be_visible()


def started_by_hand(stack: PostingStack) -> set[str]:
    return {run["id"] for run in stack.running.runs(POSTING) if not run["auto_scheduled"]}


async def test_a_click_starts_a_run_that_posts(stack: PostingStack, page: Page) -> None:
    with stack.no_other_runs():
        before = started_by_hand(stack)
        await open_deployment(page)
        await page.get_by_role("button", name="Run", exact=True).click()
        await page.get_by_role("menuitem", name="Quick run").click()
        [run_id] = eventually(lambda: started_by_hand(stack) - before)
        stack.run_is_at_work(run_id)
        posts = stack.schedule(1)
        stack.until_all(posts, "published")
        assert stack.runs_that_sent(posts) == {run_id}
        assert [len(entries) for entries in stack.accepted(posts).values()] == [1]
        assert stack.running.run(run_id)["work_pool_name"] == POOL


async def test_the_page_of_a_run_tells_what_went_out(stack: PostingStack, page: Page) -> None:
    """One task run a claim, however many bots post in it, and none for looking in vain."""
    with stack.no_other_runs():
        run_id = stack.start_run()
        stack.run_is_at_work(run_id)
        posts = stack.schedule(3, due_in_seconds=2)
        stack.until_all(posts, "published")
        await page.goto(f"{address(stack)}/runs/flow-run/{run_id}")
        for post in posts:
            [entry] = stack.accepted([post])[post.id]
            await expect(page.get_by_text(f"@{post.bot} published {entry['x_post_id']}")).to_be_visible()
        await page.get_by_role("tab", name="Task Runs").click()
        await expect(page.get_by_text("1 Task run", exact=True).first).to_be_visible()
        await expect(page.get_by_text("claim 1, posts: 3").first).to_be_visible()
        assert [task["name"] for task in stack.task_runs(run_id)] == ["claim 1, posts: 3"]


async def test_the_artifacts_of_a_run_show_how_far_it_came_and_sum_it_up(stack: PostingStack, page: Page) -> None:
    with stack.no_other_runs():
        run_id = stack.start_run(window_seconds=8)
        stack.run_is_at_work(run_id)
        stack.x(
            "POST", "/faults", {"fault": "problem", "problem": "forbidden", "endpoint": "POST /2/tweets", "count": 1}
        )
        posts = stack.schedule(6)
        stack.until_ended(posts)
        eventually(lambda: len(stack.artifacts(run_id)) == 2, 60)
        [summary] = [artifact for artifact in stack.artifacts(run_id) if artifact["type"] == "markdown"]
        await page.goto(f"{address(stack)}/runs/flow-run/{run_id}")
        await page.get_by_role("tab", name="Artifacts").click()
        await expect(page.get_by_text("6 of 6 posts that this run took have ended").first).to_be_visible()
        await page.goto(f"{address(stack)}/artifacts/artifact/{summary['id']}")
        await expect(page.get_by_role("cell", name="published", exact=True)).to_be_visible()
        await expect(page.get_by_text("Lateness").first).to_be_visible()


async def test_a_deployment_explains_itself_and_says_when_it_runs(page: Page) -> None:
    await open_deployment(page)
    await expect(page.get_by_text("Every minute")).to_be_visible()
    await page.get_by_role("tab", name="Description").click()
    await expect(page.get_by_text("Send every post that falls due, each at its own instant.")).to_be_visible()


@pytest.mark.parametrize("block", [XApi, VaultServer, PostgresServer], ids=lambda block: block.__name__)
async def test_a_block_shows_what_it_is_and_where_to_read_on(page: Page, block: type[Block]) -> None:
    await page.get_by_role("link", name="Blocks").click()
    row = page.get_by_role("row").filter(has_text=block.get_block_type_name())
    await row.get_by_role("link").first.click()
    description = block.get_description()
    assert description
    await expect(page.get_by_text(description)).to_be_visible()
    docs = page.get_by_role("link", name="View Docs")
    await expect(docs).to_have_attribute("href", str(block._documentation_url))
    assert urlsplit(str(block._documentation_url)).scheme == "https"


START = """async ([deployment, body]) => {
  const answer = await fetch(`/api/deployments/${deployment}/create_flow_run`, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  });
  return [answer.status, (await answer.json()).detail || ""];
}"""


@pytest.mark.promise("A1")
async def test_a_stranger_is_led_to_the_sign_in(stack: PostingStack, opens: Opens) -> None:
    page = (await opens(None)).page
    await page.goto(f"{stack.running.places.front_door}/")
    assert urlsplit(page.url).path == "/login"
    answer = await page.request.post(f"{stack.running.places.front_door}/api/flow_runs/filter", data={})
    assert answer.status == 401


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    ("role", "starts", "runs_code"), [("viewer", 403, 403), ("operator", 201, 403), ("admin", 201, 201)]
)
async def test_the_pages_let_each_role_do_what_it_may(
    stack: PostingStack, opens: Opens, role: str, starts: int, runs_code: int
) -> None:
    """The pages work for all; what they ask for is judged by the person's role, whatever buttons they show."""
    window = await opens(role)
    page = window.page
    with stack.no_other_runs():
        await page.goto(address(stack))
        await expect(page.get_by_text("Flow Runs").first).to_be_visible()
        await open_deployment(page)
        [deployment] = [word for word in page.url.partition("?")[0].split("/") if len(word) == 36]
        asked = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2099-01-01T00:00:00Z"}}}
        assert (await page.evaluate(START, [deployment, asked]))[0] == starts
        code = {**asked, "job_variables": {"command": "true"}}
        status, detail = await page.evaluate(START, [deployment, code])
        assert status == runs_code
        if role == "operator":
            assert "job_variables" in detail
        with stack.running.api() as api:
            for run in stack.running.runs(POSTING, expected_start_time={"after_": "2098-01-01T00:00:00Z"}):
                api.delete(f"/flow_runs/{run['id']}").raise_for_status()
    # Their analytics and pictures: the policy of the pages stops these before they are asked for.
    assert window.elsewhere == []


@pytest.mark.promise("A1")
async def test_a_viewers_click_starts_nothing_and_says_why(stack: PostingStack, opens: Opens) -> None:
    page = (await opens("viewer")).page
    with stack.no_other_runs():
        before = started_by_hand(stack)
        await page.goto(address(stack))
        await open_deployment(page)
        await page.get_by_role("button", name="Run", exact=True).click()
        await page.get_by_role("menuitem", name="Quick run").click()
        await expect(page.get_by_text("lacks the permission prefect.operate").first).to_be_visible()
        assert started_by_hand(stack) == before
