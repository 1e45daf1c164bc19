"""The sandbox gives out accounts and posts to those who may see them, and says why it does not."""

from collections.abc import Iterator

import pytest

from tests.x_sandbox_process import Caller, XSandboxProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


@pytest.fixture
def alice(sandbox: XSandboxProcess) -> Caller:
    return Caller(sandbox, "alice")


def test_accounts_are_found_by_id_and_by_username_and_the_others_are_errors(
    sandbox: XSandboxProcess, alice: Caller
) -> None:
    bob = sandbox.account("bob", description="A bot")["id"]
    gone = sandbox.account("gone", suspended=True)["id"]
    answer = alice.get("/2/users", ids=f"{bob},{gone},7", user__fields="description,protected")
    assert answer["data"] == [{"id": bob, "name": "bob", "username": "bob", "description": "A bot", "protected": False}]
    assert [(error["title"], error["resource_id"]) for error in answer["errors"]] == [
        ("Forbidden", gone),
        ("Not Found Error", "7"),
    ]
    assert answer["errors"][0]["detail"] == f"User has been suspended: [{gone}]."
    by_name = alice.get("/2/users/by", usernames="BOB,gone,nobody")
    assert [user["id"] for user in by_name["data"]] == [bob]
    assert {error["parameter"] for error in by_name["errors"]} == {"usernames"}


def test_one_account_is_data_or_an_error(sandbox: XSandboxProcess, alice: Caller) -> None:
    bob = sandbox.account("bob")["id"]
    assert alice.get(f"/2/users/{bob}")["data"]["username"] == "bob"
    assert alice.get("/2/users/by/username/Bob")["data"]["id"] == bob
    assert alice.get("/2/users/7")["errors"][0]["detail"] == "Could not find user with id: [7]."
    sandbox.account("bob", suspended=True)
    assert alice.get("/2/users/by/username/bob")["errors"][0]["title"] == "Forbidden"


@pytest.mark.parametrize(
    "path",
    [
        "/2/users",
        "/2/users?ids=bob",
        "/2/users?ids=" + ",".join(map(str, range(101))),
        "/2/users/by?usernames=a-b",
        "/2/users/bob",
        "/2/users/by/username/a-b",
        "/2/users/bob/mentions",
        "/2/tweets/first",
        "/2/users/1?expansions=author_id",
    ],
)
def test_a_lookup_that_x_would_refuse_is_refused(alice: Caller, path: str) -> None:
    answer = alice.http.get(path)
    assert (answer.status_code, answer.json()["title"]) == (400, "Invalid Request")


def test_one_post_is_data_or_an_error(alice: Caller) -> None:
    post_id = alice.posted("hello")
    answer = alice.get(f"/2/tweets/{post_id}", expansions="author_id")
    assert (answer["data"]["text"], answer["includes"]["users"][0]["username"]) == ("hello", "alice")
    assert alice.get("/2/tweets/7")["errors"][0]["detail"] == "Could not find tweet with id: [7]."


def test_a_protected_account_shows_its_posts_to_itself_alone(sandbox: XSandboxProcess, alice: Caller) -> None:
    bob = Caller(sandbox, "bob")
    secret = bob.posted("for me, not for @alice")
    reply = bob.posted("more", reply={"in_reply_to_tweet_id": secret})
    open_reply = alice.posted("what?", reply={"in_reply_to_tweet_id": secret})
    sandbox.account("bob", protected=True)

    (error,) = alice.get(f"/2/users/{bob.id}/tweets")["errors"]
    assert (error["title"], error["resource_type"]) == ("Authorization Error", "user")
    assert error["type"].endswith("/not-authorized-for-resource")
    (error,) = alice.get("/2/tweets", ids=secret)["errors"]
    assert error["detail"] == f"Sorry, you are not authorized to see the Tweet with ids: [{secret}]."
    assert alice.get(f"/2/users/{alice.id}/mentions")["meta"]["result_count"] == 0
    expanded = alice.get(f"/2/tweets/{open_reply}", expansions="referenced_tweets.id")
    assert (expanded["errors"][0]["resource_id"], "includes" in expanded) == (secret, False)

    assert [post["id"] for post in bob.timeline()["data"]] == [reply, secret]
    assert alice.get("/2/users/by/username/bob", user__fields="protected")["data"]["protected"] is True


def test_a_suspended_account_may_do_nothing_until_it_is_back(sandbox: XSandboxProcess, alice: Caller) -> None:
    post_id = alice.posted("before")
    sandbox.account("alice", suspended=True)
    assert (alice.post("after").status_code, alice.post("after").json()["detail"]) == (403, "User is suspended.")
    assert Caller(sandbox, "bob").get(f"/2/tweets/{post_id}")["errors"][0]["title"] == "Authorization Error"
    sandbox.restart()
    assert alice.http.get("/2/users/me").status_code == 403
    sandbox.account("alice", suspended=False)
    assert alice.post("after").status_code == 201


def test_metrics_grow_and_are_the_same_at_every_read(sandbox: XSandboxProcess, alice: Caller) -> None:
    post_id = alice.posted("see https://example.com")
    alice.posted("more", reply={"in_reply_to_tweet_id": post_id})
    alice.http.delete(f"/2/tweets/{alice.posted('oops', reply={'in_reply_to_tweet_id': post_id})}")
    sandbox.settings(access_token_seconds=10**8)
    alice = Caller(sandbox, "alice")

    def public() -> dict[str, int]:
        return dict(alice.get(f"/2/tweets/{post_id}", tweet__fields="public_metrics")["data"]["public_metrics"])

    read = []
    for hours in (0, 1, 24, 24 * 20):
        sandbox.clock(ahead_seconds=3_600 * hours)
        read.append(public())
    for earlier, later in zip(read, read[1:], strict=False):
        assert all(earlier[name] <= later[name] for name in later)
    assert read[0]["impression_count"] < read[1]["impression_count"] < read[2]["impression_count"]
    assert (read[0]["reply_count"], read[3]["like_count"] < read[3]["impression_count"]) == (1, True)
    sandbox.restart()
    assert public()["like_count"] == read[3]["like_count"]
    new = alice.get(f"/2/tweets/{post_id}", post__fields="public_metrics")["data"]["public_metrics"]
    assert new["repost_count"] == public()["retweet_count"]


def test_private_metrics_are_for_the_author_and_for_30_days(sandbox: XSandboxProcess, alice: Caller) -> None:
    sandbox.settings(access_token_seconds=10**8)
    alice, bob = Caller(sandbox, "alice"), Caller(sandbox, "bob")
    post_id = alice.posted("mine")
    wanted = {"ids": post_id, "tweet__fields": "non_public_metrics,organic_metrics"}
    own = alice.get("/2/tweets", **wanted)["data"][0]
    assert {"impression_count", "engagements", "user_profile_clicks"} == own["non_public_metrics"].keys()
    assert "retweet_count" in own["organic_metrics"]
    others = bob.get("/2/tweets", **wanted)
    assert "organic_metrics" not in others["data"][0]
    assert [error["field"] for error in others["errors"]] == ["non_public_metrics", "organic_metrics"]
    assert others["errors"][0]["type"].endswith("/not-authorized-for-field")
    sandbox.clock(ahead_seconds=30 * 86_400 + 60)
    assert len(alice.get("/2/tweets", **wanted)["errors"]) == 2


def test_mentions_are_the_posts_that_name_an_account_or_reply_to_it(sandbox: XSandboxProcess, alice: Caller) -> None:
    bob = Caller(sandbox, "bob")
    root = alice.posted("I am @alice, not @bob")
    named = bob.posted("hello @Alice and @nobody")
    reply = bob.posted("indeed", reply={"in_reply_to_tweet_id": root})
    bob.posted("mail alice@example.com about alice")
    page = bob.get(f"/2/users/{alice.id}/mentions", expansions="author_id")
    assert [post["id"] for post in page["data"]] == [reply, named]
    assert page["includes"]["users"][0]["username"] == "bob"
    bob.http.delete(f"/2/tweets/{reply}")
    assert [post["id"] for post in bob.get(f"/2/users/{alice.id}/mentions", since_id=root)["data"]] == [named]
