"""Reading accounts and posts: what was found, what was not, and what it refers to."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from blocks.x.errors import NoAnswer, Refused, Unauthorized
from tests.unit.test_x_client import head_and_body, query_of
from tests.unit.x_peer import Peer, a_client, always, answer

TOKEN = SecretStr("token-of-bot-a")
NOT_FOUND = {
    "value": "11",
    "detail": "Could not find tweet with ids: [11].",
    "title": "Not Found Error",
    "resource_type": "tweet",
    "parameter": "ids",
    "resource_id": "11",
    "type": "https://api.twitter.com/2/problems/resource-not-found",
}
NEW_WORDS = {
    "data": [
        {"id": "12", "author_id": "7", "referenced_posts": [{"type": "quoted", "id": "9"}]},
    ],
    "includes": {
        "posts": [{"id": "9", "text": "quoted"}],
        "users": [{"id": "7", "username": "city_weather"}],
        "media": [{"media_key": "3_5", "type": "video", "public_metrics": {"view_count": 0}, "variants": [{}]}],
        "polls": [{"id": "4", "options": [{"position": 1, "label": "rain", "votes": 2}]}],
        "holograms": [{}],
    },
}
OLD_WORDS = {
    "data": [
        {"id": "12", "author_id": "7", "referenced_tweets": [{"type": "quoted", "id": "9"}]},
    ],
    "includes": {
        **{k: v for k, v in NEW_WORDS["includes"].items() if k != "posts"},
        "tweets": [{"id": "9", "text": "quoted"}],
    },
}


async def test_accounts_are_asked_for_by_ids_and_by_names() -> None:
    told = {"data": [{"id": "7", "username": "a", "public_metrics": {"tweet_count": 5}}, {"id": "8", "username": "b"}]}
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        by_ids = await x.users(TOKEN, ["7", "8"])
        by_names = await x.users_by(TOKEN, ["a", "b"])
    assert [user.id for user in by_ids.data] == ["7", "8"]
    assert by_names.data == by_ids.data
    assert by_ids.data[0].public_metrics is not None and by_ids.data[0].public_metrics.post_count == 5
    assert [head_and_body(request)[0].split("?")[0] for request in peer.requests] == ["GET /2/users", "GET /2/users/by"]
    assert query_of(peer.requests[0])["ids"] == "7,8"
    assert query_of(peer.requests[1])["usernames"] == "a,b"
    assert "description" in query_of(peer.requests[1])["user.fields"].split(",")


@pytest.mark.parametrize("beside", [{}, {"data": None}, {"data": []}, {"meta": {"result_count": 0}}])
async def test_a_lookup_that_found_nothing_is_an_answer(beside: dict[str, object]) -> None:
    async with Peer(always(answer(200, {**beside, "errors": [NOT_FOUND]}))) as peer, a_client(peer.url) as x:
        for ask in (x.posts(TOKEN, ["11"]), x.users(TOKEN, ["11"]), x.users_by(TOKEN, ["a"])):
            told = await ask
            assert told.data == []
            assert [(problem.resource_id, problem.value) for problem in told.errors] == [("11", "11")]


async def test_what_was_found_stands_beside_what_was_not() -> None:
    async with Peer(always(answer(200, {"data": [{"id": "12"}], "errors": [NOT_FOUND]}))) as peer:
        async with a_client(peer.url) as x:
            told = await x.posts(TOKEN, ["12", "11"])
    assert [post.id for post in told.data] == ["12"]
    assert [problem.resource_id for problem in told.errors] == ["11"]


@pytest.mark.parametrize("told", [{}, {"errors": []}, {"data": None}, [], None, {"errors": [7]}, {"data": {"id": "1"}}])
async def test_a_lookup_that_says_nothing_found_nothing_out(told: object) -> None:
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        with pytest.raises(NoAnswer) as caught:
            await x.posts(TOKEN, ["11"])
    assert caught.value.retryable


async def test_a_lookup_can_still_be_refused() -> None:
    async with Peer(always(answer(400, {"errors": [NOT_FOUND]}))) as peer, a_client(peer.url) as x:
        with pytest.raises(Refused):
            await x.users(TOKEN, [])
    async with Peer(always(answer(401, b""))) as peer, a_client(peer.url) as x:
        with pytest.raises(Unauthorized):
            await x.users(TOKEN, ["7"])


@pytest.mark.parametrize("words", [NEW_WORDS, OLD_WORDS])
async def test_what_a_post_refers_to_is_read_in_both_generations(words: dict[str, object]) -> None:
    async with Peer(always(answer(200, words))) as peer, a_client(peer.url) as x:
        told = await x.posts(
            TOKEN, ["12"], expand=["author_id", "referenced_posts", "attachments.media_keys", "attachments.poll_ids"]
        )
    assert told.data[0].referenced_posts is not None and told.data[0].referenced_posts[0].id == "9"
    assert [post.text for post in told.includes.posts] == ["quoted"]
    assert [user.username for user in told.includes.users] == ["city_weather"]
    video = told.includes.media[0]
    assert video.public_metrics is not None and video.public_metrics.view_count == 0
    assert video.alt_text is None
    assert told.includes.polls[0].options is not None and told.includes.polls[0].options[0].votes == 2
    query = query_of(peer.requests[0])
    assert query["expansions"] == "author_id,referenced_posts,attachments.media_keys,attachments.poll_ids"
    assert {"user.fields", "media.fields", "poll.fields"} <= set(query)


async def test_what_is_not_asked_for_is_not_billed() -> None:
    async with Peer(always(answer(200, {"data": [{"id": "12"}]}))) as peer, a_client(peer.url) as x:
        told = await x.posts(TOKEN, ["12"], expand=[])
    assert set(query_of(peer.requests[0])) == {"ids", "post.fields"}
    assert "non_public_metrics" not in query_of(peer.requests[0])["post.fields"]
    assert told.includes.users == told.includes.posts == []


async def test_private_metrics_are_asked_for_by_name_and_absent_ones_are_none() -> None:
    organic = {"impression_count": 9, "retweet_count": 0}
    told = {"data": [{"id": "12", "non_public_metrics": {"url_link_clicks": 3}, "organic_metrics": organic}]}
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        post = (await x.posts(TOKEN, ["12"], private_metrics=True)).data[0]
    assert {"non_public_metrics", "organic_metrics"} <= set(query_of(peer.requests[0])["post.fields"].split(","))
    assert post.non_public_metrics is not None and post.non_public_metrics.url_link_clicks == 3
    assert post.non_public_metrics.impression_count is None
    assert post.organic_metrics is not None and post.organic_metrics.repost_count == 0


async def test_mentions_say_who_and_where_the_page_lies() -> None:
    told = {
        "data": [{"id": "12", "author_id": "8", "text": "@city_weather rain?"}],
        "includes": {"users": [{"id": "8", "username": "asker"}]},
        "meta": {"result_count": 1, "newest_id": "12", "oldest_id": "12", "next_token": "n3xt"},
    }
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        page = await x.mentions(
            TOKEN, "7", since_id="10", max_results=5, start_time=datetime(2026, 11, 23, 9, tzinfo=UTC)
        )
    assert page.data[0].author_id == page.includes.users[0].id == "8"
    assert page.meta is not None and page.meta.next_token == "n3xt"
    assert head_and_body(peer.requests[0])[0].startswith("GET /2/users/7/mentions?")
    query = query_of(peer.requests[0])
    assert (query["since_id"], query["max_results"]) == ("10", "5")
    assert query["start_time"] == "2026-11-23T09:00:00Z"
    assert query["expansions"] == "author_id,referenced_posts"


async def test_mentions_of_an_account_that_cannot_be_read_are_refused_and_none_are_an_empty_page() -> None:
    async with Peer(always(answer(200, {"errors": [NOT_FOUND]}))) as peer, a_client(peer.url) as x:
        with pytest.raises(Refused):
            await x.mentions(TOKEN, "7")
    async with Peer(always(answer(200, {"meta": {"result_count": 0}}))) as peer, a_client(peer.url) as x:
        assert (await x.mentions(TOKEN, "7")).data == []
