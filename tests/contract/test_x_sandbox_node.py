"""twitter-api-v2, which others wrote for Node, works on the sandbox: every way in, posts and media."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.loading import APP_ROOT
from tests.x_sandbox_process import REDIRECT_URI, XSandboxProcess

SOURCE = Path(__file__).parent / "node"
BUILT = APP_ROOT / "build" / "contract" / "node"
"""Outside the sources, for what npm brings is not ours to lint."""
NPM_SECONDS, RUN_SECONDS = 150, 60


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Path:
    """A folder with the script and the locked packages that it needs."""
    if not request.config.getoption("--clients"):
        pytest.skip("NOT TRIED: twitter-api-v2, which npm has to fetch; `make contract` insists on it")
    if missing := [program for program in ("node", "npm") if shutil.which(program) is None]:
        pytest.fail(
            f"{' and '.join(missing)} not installed, so no client of X for Node was tried: apt-get install nodejs npm",
            pytrace=False,
        )
    shutil.rmtree(BUILT, ignore_errors=True)
    shutil.copytree(SOURCE, BUILT)
    fetched = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=BUILT,
        capture_output=True,
        text=True,
        timeout=NPM_SECONDS,
    )
    assert fetched.returncode == 0, fetched.stderr
    return BUILT


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def told(node: Path, sandbox: XSandboxProcess) -> dict[str, Any]:
    """What the client was told in one run."""
    app = sandbox.app()
    given = {"url": sandbox.url, "redirectUri": REDIRECT_URI}
    given |= {"clientId": app["client_id"], "clientSecret": app["client_secret"]}
    signing = sandbox.oauth1_token("alice")
    given |= {"appKey": signing["consumer_key"], "appSecret": signing["consumer_secret"]}
    given |= {"accessToken": signing["access_token"], "accessSecret": signing["access_token_secret"]}
    run = subprocess.run(
        ["node", "consent_post_delete.mjs", json.dumps(given)],
        cwd=node,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout.splitlines()[-1]))


def test_a_consent_becomes_tokens_and_a_refresh_new_ones(told: dict[str, Any], sandbox: XSandboxProcess) -> None:
    assert (told["me"], told["expiresIn"]) == ("alice", 7200)
    steps = [(entry["grant"], entry["result"]) for entry in sandbox.ledger("token")]
    assert steps == [
        ("oauth1", "granted"),
        ("authorization_code", "granted"),
        ("refresh_token", "granted"),
        ("refresh_token", "family_killed"),
        ("authorization_code", "granted"),
        ("revoke", "access_revoked"),
        ("client_credentials", "granted"),
    ]


def test_posts_threads_media_and_polls_arrive_as_they_were_meant(
    told: dict[str, Any], sandbox: XSandboxProcess
) -> None:
    made = {entry["x_post_id"]: entry for entry in sandbox.ledger("create")}
    first, second, third = (entry for entry in made.values() if entry["text"] in told["thread"])
    assert (second["in_reply_to"], third["in_reply_to"]) == (first["x_post_id"], second["x_post_id"])
    pictured, filmed, poll, quote = (made[told["posts"][name]] for name in ("pictured", "filmed", "poll", "quote"))
    assert (pictured["media_keys"][0][:2], filmed["media_keys"][0][:2]) == ("3_", "7_")
    assert poll["poll"]["options"] == ["a", "b"]
    (gone,) = sandbox.ledger("delete")
    assert (told["deleted"], gone["x_post_id"]) == (True, quote["quoted"])


def test_the_timeline_comes_in_pages_with_what_was_asked_for(told: dict[str, Any]) -> None:
    assert told["timeline"] == ["Quoted", "Which?", "With a film", "With a picture", *reversed(told["thread"])]
    assert sorted(told["media"], key=str) == [["photo", "Rain"], ["video", None]]
    assert told["limit"] == 900


def test_the_older_ways_in_work_too(told: dict[str, Any]) -> None:
    assert told["seen"] == ["Signed", "Snow"]


def test_refusals_are_understood(told: dict[str, Any]) -> None:
    refusals = told["refusals"]
    assert refusals["duplicate"]["code"] == 403
    assert "duplicate content" in refusals["duplicate"]["detail"]
    assert refusals["replay"]["code"] == 400
    assert (refusals["afterReplay"]["code"], refusals["afterRevoke"]["code"]) == (401, 401)
