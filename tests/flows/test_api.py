"""The API on the running stack: a new user's way by curl alone, posts signed with OAuth 1.0a, and Prefect's feed."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from config.loading import APP_ROOT
from deployments.cli.client import api
from tests.makers import a_persona
from tests.posting_stack import PostingStack
from tests.running_stack import eventually

WALK = Path(__file__).parents[1] / "contract" / "walk.sh"
PASSWORD = "a lamp in every window"  # pragma: allowlist secret


def test_a_new_user_walks_from_sign_in_to_a_published_post_by_curl_alone(stack: PostingStack) -> None:
    with api() as gateway:
        user = gateway.post("/users", {"username": "walker", "password": PASSWORD})
        gateway.post("/roles/assign", {"user_id": user["id"], "role": "operator"})
    stack.standing_by(1)
    front_door = stack.running.places.gateway
    walked = subprocess.run(
        [str(WALK), front_door, "walker", PASSWORD, "walking_bot"],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    print(walked.stdout)
    assert walked.returncode == 0, walked.stdout + walked.stderr
    said = walked.stdout
    assert '"status":"valid"' in said
    assert '"state":"needs_login"' in said
    assert "@walking_bot is connected" in said
    assert '"key":"media.uploaders","service":"media","value":3,"origin":"override"' in said
    guide = (APP_ROOT / "docs/guide/api.md").read_text(encoding="utf-8")
    assert [line for line in said.splitlines() if line.startswith("== ")] == [
        line for line in guide.splitlines() if line.startswith("== ")
    ]
    kept = said.partition("== keep something")[2]
    assert '"wrapped_key":"vault:v1:' in kept
    assert "desk@example.org" not in kept
    # What the guide lets a reader type, on what the walk has made.
    typed = guide.partition("The heart of it")[2].partition("```bash\n")[2].partition("```")[0]
    for written, ours in (("http://127.0.0.1:8000", front_door), ("anna", "walker")):
        assert written in typed
        typed = typed.replace(written, ours)
    answered = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", typed],
        input=f"{PASSWORD}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answered.returncode == 0, answered.stdout + answered.stderr
    assert '"key":"media.uploaders"' in answered.stdout
    assert '"name":"contact","version":2,"format":"json","wrapped_key":"vault:v1:' in answered.stdout
    [post] = [entry for entry in stack.ledger() if entry["username"].lower() == "walking_bot"]
    assert post["text"].startswith("Good morning from walking_bot at ")


def test_a_bot_with_oauth_1_credentials_posts(stack: PostingStack) -> None:
    x: Any = stack.x
    app = x(
        "POST", "/apps", {"name": "portal", "redirect_uris": ["http://127.0.0.1:8000/callback"], "confidential": True}
    )
    x("POST", "/accounts", [{"username": "signed_bot", "description": "Automated by @vive_ops"}])
    [made] = x("POST", "/oauth1-tokens", {"client_id": app["client_id"], "accounts": ["signed_bot"]})
    credentials = {
        "type": "oauth1",
        "api_key": made["consumer_key"],
        "api_key_secret": made["consumer_secret"],
        "access_token": made["access_token"],
        "access_token_secret": made["access_token_secret"],
    }
    wanted = {
        "bot_name": "signed_bot",
        "operator_handle": "vive_ops",
        "automation_label": {"by": "ops@example.org", "confirmed_on": "2026-11-01"},
        "credentials": credentials,
    }
    with api() as gateway:
        gateway.post("/personas/create", a_persona(name="signed_bot").model_dump(mode="json"))
        bot = gateway.post("/bots/create", wanted)
    assert bot["state"] == "active"
    stack.standing_by(1)
    posts = stack.schedule(3, bots=["signed_bot"])
    stack.until_all(posts, "published")
    accounts = [entry["account_id"] for entries in stack.accepted(posts).values() for entry in entries]
    assert accounts == [bot["x_user_id"]] * 3


@pytest.mark.parametrize(
    ("event", "action"), [("vivesphere.activity", "bots.new"), ("vivesphere.security", "consent.start")]
)
def test_what_was_done_is_told_to_prefects_feed(stack: PostingStack, event: str, action: str) -> None:
    name = "fed_" + action.partition(".")[0]
    with api() as gateway:
        bot = gateway.post("/bots/create", {"bot_name": name})
    wanted = {"filter": {"event": {"name": [event]}, "resource": {"labels": {"vivesphere.action": [action]}}}}

    def told() -> list[dict[str, Any]]:
        with stack.running.api() as prefect:
            found = prefect.post("/events/filter", json=wanted).raise_for_status().json()["events"]
        return [one for one in found if one["resource"]["prefect.resource.name"] == name]

    [one] = eventually(told)
    assert one["resource"]["vivesphere.actor"] == "admin/cli"
    assert one["resource"]["prefect.resource.id"] == f"vivesphere.{action.partition('.')[0]}.{name}"
    related = {resource["prefect.resource.id"] for resource in one["related"]}
    assert related == {"vivesphere.actor.admin/cli", f"vivesphere.bot.{bot['bot_id']}"}
    assert "login_url" not in str(one)
