"""The sandbox treats posts as X does."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.x_sandbox_process import Caller, XSandboxProcess

TOO_MUCH = {"user_15_minutes": 100_000, "user_24_hours": 100_000, "app_24_hours": 100_000}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


def texts(page: dict[str, Any]) -> list[str]:
    return [post["text"] for post in page.get("data", [])]


def test_a_create_is_answered_as_x_answers_and_stands_in_the_ledger(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    answer = alice.http.post("/2/tweets", json={"text": "12 degrees"}, headers={"traceparent": "00-ab-cd-01"})
    assert answer.status_code == 201
    post_id = answer.json()["data"]["id"]
    assert answer.json()["data"] == {"id": post_id, "text": "12 degrees", "edit_history_tweet_ids": [post_id]}

    (entry,) = sandbox.ledger("create")
    assert (entry["x_post_id"], entry["text"], entry["traceparent"]) == (post_id, "12 degrees", "00-ab-cd-01")
    assert (entry["username"], entry["client_id"]) == ("alice", sandbox.app()["client_id"])
    assert datetime.fromisoformat(entry["first_byte_at"]) <= datetime.fromisoformat(entry["accepted_at"])


def test_the_ledger_and_the_folder_never_hold_a_token(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    alice.posted("hello")
    secret = sandbox.app()["client_secret"]
    for file in sandbox.folder.iterdir():
        assert alice.token not in file.read_text()
        assert secret not in file.read_text()


def test_the_id_carries_the_instant_of_acceptance(sandbox: XSandboxProcess) -> None:
    post_id = Caller(sandbox, "alice").posted("now")
    accepted_at = datetime.fromisoformat(sandbox.ledger("create")[0]["accepted_at"]).timestamp()
    assert ((int(post_id) >> 22) + 1288834974657) / 1000 == pytest.approx(accepted_at, abs=0.002)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"text": "a", "colour": "red"}, r"\$\.colour: is not defined in the schema"),
        ({"text": 5}, "integer found, string expected"),
        ({"text": "  "}, "at least 1 characters"),
        ({"text": "x" * 281}, "too long"),
        ({"text": "界" * 141}, "too long"),
        ({"text": "a", "reply_settings": "nobody"}, "enumeration"),
        ({"text": "a", "reply": {}}, "required"),
        ({"text": "a", "quote_tweet_id": "first"}, "regex pattern"),
        ({"text": "a", "geo": {"place_id": "a"}}, "not offered"),
        ({"text": "a", "poll": {"options": ["a", "b"]}}, "duration_minutes: is missing"),
        ({"text": "a", "poll": {"options": ["a"], "duration_minutes": 5}}, "minimum of 2 items"),
        ({"text": "a", "poll": {"options": list("abcde"), "duration_minutes": 5}}, "maximum of 4 items"),
        ({"text": "a", "poll": {"options": ["a", "b" * 26], "duration_minutes": 5}}, r"options\[1\]: may only be 25"),
        ({"text": "a", "poll": {"options": ["a", ""], "duration_minutes": 5}}, "at least 1"),
        ({"text": "a", "poll": {"options": ["a", "b"], "duration_minutes": 4}}, "minimum value of 5"),
        ({"text": "a", "poll": {"options": ["a", "b"], "duration_minutes": 10_081}}, "maximum value of 10080"),
        ({"text": "a", "poll": {"options": ["a", "b"], "duration_minutes": True}}, "integer expected"),
        (
            {"text": "a", "quote_tweet_id": "1", "poll": {"options": ["a", "b"], "duration_minutes": 5}},
            "poll and quote_tweet_id exclude each other",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_refused(sandbox: XSandboxProcess, body: dict[str, Any], word: str) -> None:
    answer = Caller(sandbox, "alice").http.post("/2/tweets", json=body)
    assert answer.status_code == 400
    assert answer.json()["title"] == "Invalid Request"
    assert answer.json()["type"].endswith("/invalid-request")
    assert re.search(word, answer.json()["errors"][0]["message"])
    assert sandbox.ledger("create") == []
    assert re.search(word, sandbox.ledger("refuse")[0]["problem"])


def test_a_body_that_is_not_json_is_refused(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    assert alice.http.post("/2/tweets", data={"text": "a"}).status_code == 400
    answer = alice.http.post("/2/tweets", content=b'{"text', headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_a_link_counts_23_and_280_is_allowed(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    link = "https://example.com/" + "a" * 300
    assert alice.post("x" * 256 + " " + link).status_code == 201
    assert alice.post("x" * 257 + " " + link).status_code == 400
    assert alice.post("界" * 140).status_code == 201


def test_a_timeline_escapes_html_and_shortens_links(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    alice.posted("<b> & https://www.example.com/a?b=1 #rain @alice")
    (post,) = alice.timeline(**{"tweet.fields": "entities,created_at,author_id"})["data"]
    (link,) = post["entities"]["urls"]
    assert post["text"] == f"&lt;b&gt; &amp; {link['url']} #rain @alice"
    assert post["text"][link["start"] : link["end"]] == link["url"]
    assert link["url"].startswith("https://t.co/")
    assert (link["expanded_url"], link["display_url"]) == ("https://www.example.com/a?b=1", "example.com/a?b=1")
    assert [tag["tag"] for tag in post["entities"]["hashtags"]] == ["rain"]
    assert [mention["username"] for mention in post["entities"]["mentions"]] == ["alice"]
    assert post["author_id"] == alice.id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", post["created_at"])


def test_a_timeline_is_read_in_pages_newest_first(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    ids = [alice.posted(f"post {number}") for number in range(12)]
    first = alice.timeline(max_results=5)
    second = alice.timeline(max_results=5, pagination_token=first["meta"]["next_token"])
    third = alice.timeline(max_results=5, pagination_token=second["meta"]["next_token"])
    read = [post["id"] for page in (first, second, third) for post in page["data"]]
    assert read == ids[::-1]
    assert "next_token" not in third["meta"]
    assert alice.timeline(max_results=5, pagination_token=third["meta"]["previous_token"])["data"] == second["data"]
    assert [post["id"] for post in alice.timeline(since_id=ids[8], until_id=ids[11])["data"]] == [ids[10], ids[9]]
    assert alice.timeline(end_time="2020-01-01T00:00:00Z") == {"meta": {"result_count": 0}}
    assert len(alice.timeline(start_time="2020-01-01T00:00:00Z")["data"]) == 10


@pytest.mark.parametrize(
    "query",
    [
        "max_results=4",
        "max_results=x",
        "since_id=-1",
        "start_time=noon",
        "colour=red",
        "tweet.fields=colour",
        "expansions=colour",
    ],
)
def test_a_query_that_x_would_refuse_is_refused(sandbox: XSandboxProcess, query: str) -> None:
    alice = Caller(sandbox, "alice")
    answer = alice.http.get(f"/2/users/{alice.id}/tweets?{query}")
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/invalid-request")


def test_a_post_shows_on_the_timeline_only_after_its_lag(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    sandbox.settings(visibility_lag_seconds=[60, 90])
    post_id = alice.posted("late")
    assert alice.timeline() == {"meta": {"result_count": 0}}
    assert alice.http.get(f"/2/tweets?ids={post_id}").json()["data"][0]["id"] == post_id
    sandbox.clock(ahead_seconds=91)
    assert texts(alice.timeline()) == ["late"]


def test_replies_and_quotes_name_what_they_refer_to(sandbox: XSandboxProcess) -> None:
    alice, bob = Caller(sandbox, "alice"), Caller(sandbox, "bob")
    root = alice.posted("root for @bob")
    reply = bob.posted("reply", reply={"in_reply_to_tweet_id": root})
    bob.posted("deeper", reply={"in_reply_to_tweet_id": reply})
    bob.posted("quote", quote_tweet_id=root, reply_settings="following")
    quote, deeper, first = bob.timeline(
        **{"tweet.fields": "referenced_tweets,conversation_id,in_reply_to_user_id,reply_settings"}
    )["data"]
    assert first["referenced_tweets"] == [{"type": "replied_to", "id": root}]
    assert (first["in_reply_to_user_id"], deeper["conversation_id"]) == (alice.id, root)
    assert quote["referenced_tweets"] == [{"type": "quoted", "id": root}]
    assert quote["reply_settings"] == "following"
    assert texts(bob.timeline(exclude="replies")) == ["quote"]
    lost = alice.post("to nobody", reply={"in_reply_to_tweet_id": "1"})
    assert (lost.status_code, "deleted or not visible" in lost.json()["detail"]) == (403, True)
    assert alice.post("of nothing", quote_tweet_id="1").status_code == 400


def test_an_expansion_alone_shows_its_field_and_brings_what_it_names(sandbox: XSandboxProcess) -> None:
    alice, bob = Caller(sandbox, "alice"), Caller(sandbox, "bob")
    root = alice.posted("root for @bob")
    reply = bob.posted("reply", reply={"in_reply_to_tweet_id": root})

    new = bob.timeline(expansions="author_id,referenced_posts,in_reply_to_user_id")
    assert new["data"][0]["referenced_posts"] == [{"type": "replied_to", "id": root}]
    assert (new["data"][0]["author_id"], new["data"][0]["in_reply_to_user_id"]) == (bob.id, alice.id)
    assert [post["id"] for post in new["includes"]["posts"]] == [root]
    assert [user["username"] for user in new["includes"]["users"]] == ["bob", "alice"]

    old = bob.timeline(expansions="referenced_tweets.id,author_id", **{"tweet.fields": "conversation_id"})
    assert old["data"][0]["referenced_tweets"] == [{"type": "replied_to", "id": root}]
    assert [(post["id"], post["conversation_id"]) for post in old["includes"]["tweets"]] == [(root, root)]
    assert [user["username"] for user in old["includes"]["users"]] == ["bob"]
    deep = bob.timeline(expansions="referenced_tweets.id.author_id")
    assert [user["username"] for user in deep["includes"]["users"]] == ["alice"]
    mentions = alice.timeline(expansions="entities.mentions.username")
    assert [user["username"] for user in mentions["includes"]["users"]] == ["bob"]

    alice.http.delete(f"/2/tweets/{root}")
    gone = bob.http.get("/2/tweets", params={"ids": reply, "expansions": "referenced_posts"}).json()
    assert gone["data"][0]["referenced_posts"] == [{"type": "replied_to", "id": root}]
    assert (gone["errors"][0]["parameter"], gone["errors"][0]["resource_id"]) == ("referenced_posts", root)
    assert "includes" not in gone


def test_a_reply_needs_to_be_summoned(sandbox: XSandboxProcess) -> None:
    alice, bob = Caller(sandbox, "alice"), Caller(sandbox, "bob")
    root = alice.posted("not for you")
    refused = bob.post("but", reply={"in_reply_to_tweet_id": root})
    assert (refused.status_code, "have not been mentioned" in refused.json()["detail"]) == (403, True)
    assert alice.post("thread", reply={"in_reply_to_tweet_id": root}).status_code == 201
    named = alice.posted("well, @BOB?")
    answer = bob.posted("here", reply={"in_reply_to_tweet_id": named})
    assert alice.post("thanks", reply={"in_reply_to_tweet_id": answer}).status_code == 201
    quote = alice.posted("look", quote_tweet_id=answer)
    assert bob.post("seen", reply={"in_reply_to_tweet_id": quote}).status_code == 201
    sandbox.settings(reply_gate=False)
    assert bob.post("but", reply={"in_reply_to_tweet_id": root}).status_code == 201


def test_a_poll_is_open_until_its_time_is_over(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    alice.posted("Which?", poll={"options": ["Rain", "Wind"], "duration_minutes": 5})
    query = {"expansions": "attachments.poll_ids", "poll.fields": "voting_status,duration_minutes,end_datetime"}
    page = alice.timeline(**query)
    (poll,) = page["includes"]["polls"]
    assert page["data"][0]["attachments"] == {"poll_ids": [poll["id"]]}
    assert [(option["position"], option["label"]) for option in poll["options"]] == [(1, "Rain"), (2, "Wind")]
    assert (poll["voting_status"], poll["duration_minutes"]) == ("open", 5)
    sandbox.clock(ahead_seconds=301)
    assert alice.timeline(**query)["includes"]["polls"][0]["voting_status"] == "closed"
    assert alice.http.get("/2/users/me?poll.fields=id").status_code == 400
    assert alice.http.get(f"/2/users/{alice.id}/tweets?poll.fields=colour").status_code == 400


def test_disclosures_are_kept(sandbox: XSandboxProcess) -> None:
    Caller(sandbox, "alice").posted("an advert", made_with_ai=True, paid_partnership=True)
    (entry,) = sandbox.ledger("create")
    assert (entry["made_with_ai"], entry["paid_partnership"]) == (True, True)


def test_both_generations_of_names_are_spoken(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    root = alice.posted("root")
    alice.posted("reply", reply={"in_reply_to_tweet_id": root})
    newest = alice.timeline(**{"post.fields": "referenced_posts"})["data"][0]
    assert (newest["referenced_posts"][0]["id"], newest["edit_history_post_ids"]) == (root, [newest["id"]])
    sandbox.settings(new_names=True)
    assert "edit_history_post_ids" in alice.post("new").json()["data"]
    assert alice.post("x" * 281).json()["type"] == "https://api.x.com/2/problems/invalid-request"


def test_a_lookup_may_hold_data_and_errors(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    post_id = alice.posted("found")
    answer = alice.http.get("/2/tweets", params={"ids": f"{post_id},77", "expansions": "author_id"}).json()
    assert [post["id"] for post in answer["data"]] == [post_id]
    assert answer["errors"][0]["resource_id"] == "77"
    assert answer["errors"][0]["type"].endswith("/resource-not-found")
    assert answer["includes"]["users"][0]["username"] == "alice"
    assert alice.http.get("/2/tweets", params={"ids": "one"}).status_code == 400


def test_a_deleted_post_is_gone(sandbox: XSandboxProcess) -> None:
    alice, bob = Caller(sandbox, "alice"), Caller(sandbox, "bob")
    post_id = alice.posted("oops")
    assert bob.http.delete(f"/2/tweets/{post_id}").status_code == 403
    assert alice.http.delete(f"/2/tweets/{post_id}").json() == {"data": {"deleted": True}}
    assert alice.http.delete(f"/2/tweets/{post_id}").status_code == 404
    assert alice.timeline() == {"meta": {"result_count": 0}}
    assert [entry["x_post_id"] for entry in sandbox.ledger("delete")] == [post_id]


def test_a_duplicate_is_refused_with_x_s_words_until_its_window_has_passed(sandbox: XSandboxProcess) -> None:
    alice, bob = Caller(sandbox, "alice"), Caller(sandbox, "bob")
    first = alice.posted("same")
    again = alice.post(" same ")
    assert (again.status_code, again.json()["detail"]) == (
        403,
        "You are not allowed to create a Tweet with duplicate content.",
    )
    assert bob.post("same").status_code == 201
    alice.http.delete(f"/2/tweets/{first}")
    assert alice.post("same").status_code == 201
    sandbox.settings(duplicate_refusal=False)
    assert alice.post("same").status_code == 201
    sandbox.settings(duplicate_refusal=True, access_token_seconds=10**6)
    sandbox.clock(ahead_seconds=86_401)
    assert Caller(sandbox, "alice").post("same").status_code == 201


def test_headers_count_down_to_a_429_and_the_window_opens_again(sandbox: XSandboxProcess) -> None:
    sandbox.settings(limits={"POST /2/tweets": {"user_15_minutes": 3}})
    alice = Caller(sandbox, "alice")
    answers = [alice.post(f"post {number}") for number in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert [answer.headers["x-rate-limit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["x-rate-limit-limit"] == "3"
    assert answers[0].headers["x-app-limit-24hour-remaining"] == "9999"
    assert "x-user-limit-24hour-reset" in answers[0].headers
    assert answers[3].json()["title"] == "Too Many Requests"
    assert Caller(sandbox, "bob").post("mine").headers["x-app-limit-24hour-remaining"] == "9996"
    sandbox.clock(ahead_seconds=901)
    assert alice.post("later").headers["x-rate-limit-remaining"] == "2"


def test_the_app_s_daily_limit_is_shared_by_its_accounts(sandbox: XSandboxProcess) -> None:
    sandbox.settings(limits={"POST /2/tweets": {**TOO_MUCH, "app_24_hours": 1}})
    assert Caller(sandbox, "alice").post("first").status_code == 201
    assert Caller(sandbox, "bob").post("second").status_code == 429
    assert Caller(sandbox, "bob", app="other").post("third").status_code == 201


def test_whose_token_it_is(sandbox: XSandboxProcess) -> None:
    sandbox.control.post("/accounts", json=[{"username": "alice", "name": "Alice", "description": "A bot by @owner"}])
    alice = Caller(sandbox, "alice")
    assert alice.http.get("/2/users/me").json()["data"] == {"id": alice.id, "name": "Alice", "username": "alice"}
    me = alice.http.get("/2/users/me?user.fields=description,created_at").json()["data"]
    assert me["description"] == "A bot by @owner"
    assert alice.http.get("/2/users/me?user.fields=colour").status_code == 400


def test_a_token_is_needed_and_its_scopes_count(sandbox: XSandboxProcess) -> None:
    reader = Caller(sandbox, "alice", scopes=["tweet.read", "users.read"])
    assert reader.http.get("/2/users/me").status_code == 200
    assert (reader.post("no").status_code, reader.post("no").json()["title"]) == (403, "Forbidden")
    answer = httpx.post(f"{sandbox.url}/2/tweets", json={"text": "a"}, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401
    assert answer.json() == {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}
    sandbox.clock(ahead_seconds=7_201)
    assert reader.http.get("/2/users/me").status_code == 401


def test_a_path_that_x_does_not_have_is_an_empty_404(sandbox: XSandboxProcess) -> None:
    answer = httpx.get(f"{sandbox.url}/2/nothing/here")
    assert (answer.status_code, answer.content) == (404, b"")
