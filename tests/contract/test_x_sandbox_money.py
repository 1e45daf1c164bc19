"""The sandbox charges as X does, refuses what is not paid for, and tells what was spent."""

from collections.abc import Iterator

import httpx
import pytest

from tests.x_sandbox_process import Caller, XSandboxProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    process.settings(access_token_seconds=10**8)
    return process


@pytest.fixture
def alice(sandbox: XSandboxProcess) -> Caller:
    return Caller(sandbox, "alice")


def app_only(sandbox: XSandboxProcess) -> httpx.Client:
    headers = {"Authorization": f"Bearer {sandbox.app_only_token()}"}
    return httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False)


def prices(sandbox: XSandboxProcess) -> list[tuple[str, float]]:
    entries = sandbox.ledger("create", "delete", "charge")
    return [(entry["price"], entry["usd"]) for entry in entries]


def test_each_write_has_its_price(sandbox: XSandboxProcess, alice: Caller) -> None:
    bob = Caller(sandbox, "bob")
    root = alice.posted("What do you say, @bob?")
    bob.posted("Yes", reply={"in_reply_to_tweet_id": root})
    bob.posted("Yes, see example.com", reply={"in_reply_to_tweet_id": root})
    alice.posted("Thank you", reply={"in_reply_to_tweet_id": root})
    alice.http.delete(f"/2/tweets/{root}")
    assert alice.post("x" * 281).status_code == 400
    assert prices(sandbox) == [
        ("post_create", 0.015),
        ("post_create_summoned_reply", 0.010),
        ("post_create_with_url", 0.20),
        ("post_create", 0.015),
        ("post_delete", 0.010),
    ]
    assert sandbox.spend()["usd"] == 0.25


def test_a_post_is_paid_for_once_a_day_by_each_app(sandbox: XSandboxProcess, alice: Caller) -> None:
    midnight = sandbox.clock(now="2027-03-01T00:00:00Z")
    assert midnight["speed"] == 1
    alice = Caller(sandbox, "alice")
    ids = ",".join(alice.posted(text) for text in ("one", "two"))
    other = Caller(sandbox, "bob", app="other")
    for caller in (alice, alice, other):
        caller.get("/2/tweets", ids=ids)
    alice.timeline()
    sandbox.restart()
    alice.timeline()
    assert [entry["usd"] for entry in sandbox.ledger("charge")] == [0.01, 0.01]
    sandbox.clock(forward_seconds=86_400)
    alice.get(f"/2/tweets/{ids.partition(',')[0]}")
    assert [entry["usd"] for entry in sandbox.ledger("charge")] == [0.01, 0.01, 0.005]


def test_each_read_has_its_price(sandbox: XSandboxProcess, alice: Caller) -> None:
    post_id = alice.posted("mine")
    bob = sandbox.account("bob")["id"]
    since = sandbox.ledger()[-1]["seq"]
    alice.get("/2/users/me")
    alice.get("/2/users", ids=f"{alice.id},{bob}")
    alice.get("/2/users/by/username/nobody")
    alice.get("/2/tweets/counts/recent", query="mine")
    alice.get("/2/tweets/counts/recent", query="mine")
    alice.get("/2/trends/by/woeid/1", max_trends="3")
    alice.get("/2/tweets/analytics", ids=post_id, start_time="2026-01-01T00:00:00Z", end_time="2027-01-01T00:00:00Z")
    charges = sandbox.ledger("charge", after=since)
    assert [(entry["endpoint"], entry["price"], entry["usd"]) for entry in charges] == [
        ("GET /2/users/me", "user_read", 0.010),
        ("GET /2/users", "user_read", 0.010),
        ("GET /2/tweets/counts/recent", "counts_recent", 0.005),
        ("GET /2/tweets/counts/recent", "counts_recent", 0.005),
        ("GET /2/trends/by/woeid/{woeid}", "trend_read", 0.030),
        ("GET /2/tweets/analytics", "analytics_read", 0.005),
    ]


def test_spending_is_shown_by_app_endpoint_and_account(sandbox: XSandboxProcess, alice: Caller) -> None:
    bob = Caller(sandbox, "bob", app="other")
    alice.posted("one")
    alice.posted("two")
    bob.posted("three")
    alice.get("/2/users/me")
    spend = sandbox.spend()
    assert spend["usd"] == 0.055
    apps = {app["name"]: app for app in spend["apps"]}
    assert apps["app"]["endpoints"] == {
        "POST /2/tweets": {"usd": 0.03, "requests": 2},
        "GET /2/users/me": {"usd": 0.01, "requests": 1},
    }
    assert (apps["app"]["usd"], apps["other"]["usd"]) == (0.04, 0.015)
    assert {account["username"]: account["usd"] for account in spend["accounts"]} == {"alice": 0.04, "bob": 0.015}
    sandbox.restart()
    assert sandbox.spend() == spend
    sandbox.reset(keep_accounts=True)
    assert sandbox.spend()["usd"] == 0


def test_prices_can_be_changed(sandbox: XSandboxProcess, alice: Caller) -> None:
    sandbox.settings(prices_usd={"post_create": 0.5})
    alice.posted("dear")
    assert prices(sandbox) == [("post_create", 0.5)]
    assert sandbox.settings()["prices_usd"]["post_delete"] == 0.010


@pytest.mark.parametrize("owner", ["client_id", "account"])
def test_without_credits_nothing_is_answered_until_there_are_new_ones(
    sandbox: XSandboxProcess, alice: Caller, owner: str
) -> None:
    whose = {owner: sandbox.app()["client_id"] if owner == "client_id" else "alice"}
    sandbox.credits(0.02, **whose)
    assert [alice.post(f"{number}").status_code for number in range(3)] == [201, 201, 402]
    answer = alice.http.get("/2/users/me")
    assert (answer.status_code, answer.json()["title"]) == (402, "CreditsDepleted")
    assert [entry["status"] for entry in sandbox.ledger("refuse")] == [402]
    sandbox.restart()
    assert alice.post("after a restart").status_code == 402
    sandbox.credits(1, **whose)
    assert alice.post("paid").status_code == 201
    shown = sandbox.spend()
    (balance,) = [each["credits_usd"] for each in [*shown["apps"], *shown["accounts"]] if each["credits_usd"]]
    assert balance == 0.985
    sandbox.credits(None, **whose)
    assert alice.post("free").status_code == 201


def test_the_monthly_cap_ends_with_the_month_and_not_with_the_window(sandbox: XSandboxProcess) -> None:
    sandbox.clock(now="2027-04-29T12:00:00Z")
    sandbox.settings(usage_cap_posts=2)
    alice = Caller(sandbox, "alice")
    first, second, third = (alice.posted(text) for text in ("one", "two", "three"))
    alice.get("/2/tweets", ids=f"{first},{second}")
    for _ in range(2):
        answer = alice.http.get(f"/2/tweets/{third}")
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (429, "usage-capped")
        assert int(answer.headers["x-rate-limit-remaining"]) > 0
        sandbox.clock(forward_seconds=901)
    assert alice.http.get("/2/users/me").status_code == 200, "the cap is on posts alone"
    assert alice.post("four").status_code == 201
    sandbox.clock(now="2027-05-01T00:00:01Z")
    assert alice.http.get(f"/2/tweets/{third}").status_code == 200


def test_usage_tells_what_an_app_has_read(sandbox: XSandboxProcess) -> None:
    sandbox.clock(now="2027-02-26T12:00:00Z")
    alice = Caller(sandbox, "alice")
    ids = [alice.posted(text) for text in ("one", "two", "three")]
    alice.get("/2/tweets", ids=",".join(ids[:2]))
    alice.get("/2/tweets", ids=",".join(ids))
    sandbox.clock(forward_seconds=86_400)
    alice.get("/2/tweets", ids=ids[0])
    with app_only(sandbox) as app:
        usage = app.get("/2/usage/tweets").json()["data"]
        assert (usage["project_usage"], usage["project_cap"], usage["cap_reset_day"]) == ("4", "3000000", 2)
        whole = app.get("/2/usage/tweets?days=3&usage.fields=daily_client_app_usage,daily_project_usage").json()["data"]
        assert whole["daily_project_usage"]["usage"] == [
            {"date": "2027-02-25T00:00:00.000Z", "usage": "0"},
            {"date": "2027-02-26T00:00:00.000Z", "usage": "3"},
            {"date": "2027-02-27T00:00:00.000Z", "usage": "1"},
        ]
        assert whole["daily_client_app_usage"][0]["usage_result_count"] == 3
        sandbox.credits(0, client_id=sandbox.app()["client_id"])
        assert app.get("/2/usage/tweets").status_code == 200, "how else would an app learn why nothing works"
        assert app.get("/2/usage/tweets?days=91").status_code == 400
    assert alice.http.get("/2/usage/tweets").json()["title"] == "Unsupported Authentication"
