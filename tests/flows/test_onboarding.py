"""Bots are signed in by the deployment, as an import starts it."""

from deployments.cli.client import api, wait_for_run
from tests.makers import a_bot
from tests.posting_stack import PostingStack
from tests.running_stack import eventually

ONBOARDING = "onboard-bots/on-demand"


def test_a_new_bot_is_signed_in_by_the_deployment_and_posts(stack: PostingStack) -> None:
    with api() as gateway:
        gateway.post("/bots/import", [a_bot("newcomer").model_dump(mode="json")])
        assert gateway.get("/bots/newcomer")["state"] == "needs_login"
        started = gateway.post("/runs", {"deployment": ONBOARDING, "arguments": {"handles": ["newcomer"]}})
        assert wait_for_run(gateway, started["flow_run_id"])["state"] == "completed"
        bot = gateway.get("/bots/newcomer")
    assert (bot["state"], bot["bio_names_operator"]) == ("active", True)
    run = stack.running.run(started["flow_run_id"])
    assert run["work_pool_name"] == stack.running.places.settings.prefect.work_pool
    said = f"@newcomer active: connected as account {bot['x_user_id']}"
    assert eventually(lambda: said in stack.logs(run["id"]))

    stack.standing_by(1)
    posts = stack.schedule(1, bots=["newcomer"])
    stack.until_all(posts, "published")
    assert [entry["account_id"] for entry in stack.accepted(posts)[posts[0].id]] == [bot["x_user_id"]]
