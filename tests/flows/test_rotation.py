"""The deployment that keeps tokens alive, on a whole stack."""

import base64
import json

import httpx
import pytest

from deployments.local import prefect_api
from tasks.domain.credentials import access_path, client_path, refresh_path
from tests.aged_tokens import ROTATION, bot_row, keys, near_the_end, refreshes, rotate
from tests.posting_stack import PostingStack
from tests.running_stack import eventually

pytestmark = pytest.mark.promise("C3")


def run(stack: PostingStack) -> str:
    """A run by the command that people use, to its end."""
    said = json.loads(stack.command("run", "rotate-credentials", "--json"))
    assert said["deployment"] == ROTATION
    rotate(stack, said["flow_run_id"])
    return str(said["flow_run_id"])


def tables(stack: PostingStack, flow_run_id: str) -> list[list[dict[str, str]]]:
    """What the run's page shows of tokens; other credentials have a table of their own."""
    criteria = {"flow_run_id": {"any_": [flow_run_id]}, "key": {"any_": ["refreshed-tokens"]}}
    with stack.running.api() as server:
        return [json.loads(found["data"]) for found in prefect_api.filtered(server, "/artifacts", artifacts=criteria)]


def table(stack: PostingStack, flow_run_id: str) -> list[dict[str, str]]:
    """The one table of a run that looked at tokens."""
    [rows] = tables(stack, flow_run_id)
    return rows


def lose_the_family(stack: PostingStack, handle: str) -> None:
    """Somebody else uses the bot's refresh token twice."""
    bot = bot_row(stack, handle)
    with keys(stack) as (kv, _):
        token = kv.read(refresh_path(bot["id"])).data["refresh_token"]
        client = kv.read(client_path(bot["x_app_id"])).data
    basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    for _ in range(2):
        httpx.post(
            f"{stack.running.places.x}/2/oauth2/token",
            data={"grant_type": "refresh_token", "refresh_token": token},
            headers={"Authorization": f"Basic {basic}"},
            trust_env=False,
        )


def test_a_run_refreshes_what_nears_its_end_and_nothing_else_and_posting_goes_on(stack: PostingStack) -> None:
    due, other = stack.bots[0], stack.bots[1]
    near_the_end(stack, due)
    before = {handle: refreshes(stack, handle) for handle in (due, other)}
    with keys(stack) as (kv, _):
        old = kv.read(access_path(bot_row(stack, due)["id"]))
    run_id = run(stack)
    assert refreshes(stack, due) == [*before[due], "granted"]
    assert refreshes(stack, other) == before[other]
    with keys(stack) as (kv, _):
        new = kv.read(access_path(bot_row(stack, due)["id"]))
    assert (new.version, new.data["access_token"] != old.data["access_token"]) == (old.version + 1, True)
    [row] = [row for row in table(stack, run_id) if row["bot"] == f"@{due}"]
    assert (row["tokens"], row["why"].startswith("serves until")) == ("refreshed", True)
    assert eventually(lambda: [line for line in stack.logs(run_id) if line.startswith(f"@{due} refreshed")])
    posts = stack.schedule(1, bots=[due])
    stack.until_all(posts, "published")


def test_a_bot_whose_family_is_lost_needs_a_login_and_its_posts_wait_for_it(stack: PostingStack) -> None:
    lost = stack.bots[2]
    lose_the_family(stack, lost)
    near_the_end(stack, lost)
    run_id = run(stack)
    assert bot_row(stack, lost)["state"] == "needs_login"
    assert {row["bot"]: row["tokens"] for row in table(stack, run_id)}[f"@{lost}"] == "needs_login"
    posts = stack.schedule(1, bots=[lost])
    others = stack.schedule(1, bots=[stack.bots[3]])
    stack.until_all(others, "published")
    assert stack.statuses(posts) == {"scheduled": 1}
    stack.command("run", "onboard-bots")
    stack.until_all(posts, "published")
    assert bot_row(stack, lost)["state"] == "active"


def test_a_run_that_finds_nothing_leaves_no_table(stack: PostingStack) -> None:
    assert tables(stack, run(stack)) == []


def test_the_stacks_time_goes_along_with_the_sandboxs(stack: PostingStack) -> None:
    """Its tokens, leases and due posts are by the same clock as X's; and back again."""

    def ahead() -> float:
        [row] = stack.sql("SELECT extract(epoch FROM app_now() - clock_timestamp())::float8 AS seconds FROM app_clock")
        return float(row["seconds"])

    try:
        shown = json.loads(stack.command("sandbox", "clock", "--forward", "30", "--json"))
        assert abs(ahead() - shown["ahead_seconds"]) < 1
        assert shown["ahead_seconds"] > 29
    finally:
        stack.command("sandbox", "clock", "--wall")
    assert abs(ahead()) < 1
