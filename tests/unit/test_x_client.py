"""What goes out to X and what comes back, when all goes well."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from blocks.x.errors import NoAnswer, Refused, Suspended
from blocks.x.limits import Window
from blocks.x.wire import CreatePost
from deployments.x_sandbox.answers import PROBLEMS
from tests.unit.x_peer import Conversation, Peer, a_client, always, answer

TOKEN = SecretStr("token-of-bot-a")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def head_and_body(request: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


def query_of(request: bytes) -> dict[str, str]:
    target = head_and_body(request)[0].split(" ")[1]
    return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}


async def test_a_post_goes_out_with_its_token_and_trace_and_comes_back_with_its_id() -> None:
    before = datetime.now(UTC)
    async with Peer(always(answer())) as peer, a_client(peer.url) as x:
        created = await x.create_post(TOKEN, CreatePost(text="grüße"), traceparent=TRACEPARENT)
    first, headers, body = head_and_body(peer.requests[0])
    assert first == "POST /2/tweets HTTP/1.1"
    assert headers["authorization"] == "Bearer token-of-bot-a"
    assert headers["traceparent"] == TRACEPARENT
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"text": "grüße"}
    assert created.data.id == "1790000000000000001"
    assert created.status == 201
    assert before <= created.first_byte_at <= datetime.now(UTC)


async def test_limits_are_read_from_the_headers() -> None:
    told = {
        "X-Rate-Limit-Limit": "100",
        "x-rate-limit-remaining": "0",
        "x-rate-limit-reset": "1795000000",
        "x-app-limit-24hour-limit": "10000",
        "x-user-limit-24hour-remaining": "many",
        "x-user-limit-24hour-reset": "9" * 18,
    }
    async with Peer(always(answer(headers=told))) as peer, a_client(peer.url) as x:
        limits = (await x.create_post(TOKEN, CreatePost(text="a"))).limits
    assert limits.rate == Window(100, 0, datetime.fromtimestamp(1795000000, UTC))
    assert limits.app_24hour == Window(limit=10000)
    assert limits.user_24hour == Window()


async def test_without_limit_headers_nothing_is_known() -> None:
    async with Peer(always(answer())) as peer, a_client(peer.url) as x:
        assert (await x.create_post(TOKEN, CreatePost(text="a"))).limits.told() == []


async def test_a_cookie_of_one_bot_never_travels_with_another() -> None:
    cookie = {"set-cookie": "guest_id=of-bot-a; Path=/"}
    async with Peer(always(answer(headers=cookie))) as peer, a_client(peer.url, lanes=1) as x:
        await x.create_post(TOKEN, CreatePost(text="a"))
        await x.create_post(SecretStr("token-of-bot-b"), CreatePost(text="b"))
    assert len(peer.conversations) == 1
    second = head_and_body(peer.requests[1])[1]
    assert second["authorization"] == "Bearer token-of-bot-b"
    assert "cookie" not in second
    assert b"bot-a" not in peer.requests[1]


async def test_a_redirect_is_not_followed() -> None:
    async with Peer(always(answer(307, b"", {"location": "/elsewhere"}))) as peer, a_client(peer.url) as x:
        with pytest.raises(NoAnswer) as caught:
            await x.create_post(TOKEN, CreatePost(text="a"))
    assert caught.value.status == 307
    assert len(peer.requests) == 1


async def test_me_asks_for_the_bio_and_reads_it() -> None:
    told = {"data": {"id": "7", "username": "city_weather", "description": "bot by @someone"}}
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        me = await x.me(TOKEN)
    assert me.data.description == "bot by @someone"
    assert me.data.public_metrics is None
    assert "description" in query_of(peer.requests[0])["user.fields"].split(",")


async def test_a_timeline_page_says_where_it_lies() -> None:
    told = {
        "data": [{"id": "12", "text": "b"}, {"id": "11", "text": "a"}],
        "meta": {"result_count": 2, "newest_id": "12", "oldest_id": "11", "next_token": "n3xt"},
    }
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        page = await x.user_timeline(
            TOKEN,
            "7",
            since_id="10",
            until_id="20",
            max_results=50,
            pagination_token="p4ge",
            start_time=datetime(2026, 11, 23, 9, 0, 0, 700_000, tzinfo=UTC),
            end_time=datetime(2026, 11, 23, 11, 0, 0, 1, tzinfo=timezone(timedelta(hours=1))),
        )
    assert [post.id for post in page.data] == ["12", "11"]
    assert page.meta is not None and page.meta.next_token == "n3xt"
    assert head_and_body(peer.requests[0])[0].startswith("GET /2/users/7/tweets?")
    query = query_of(peer.requests[0])
    assert query["start_time"] == "2026-11-23T09:00:00Z"
    assert query["end_time"] == "2026-11-23T10:00:01Z"
    assert (query["since_id"], query["until_id"], query["max_results"]) == ("10", "20", "50")
    assert query["pagination_token"] == "p4ge"
    assert "referenced_posts" in query["expansions"]


async def test_an_empty_timeline_is_an_empty_list() -> None:
    async with Peer(always(answer(200, {"meta": {"result_count": 0}}))) as peer, a_client(peer.url) as x:
        page = await x.user_timeline(TOKEN, "7")
    assert page.data == []


@pytest.mark.parametrize("told", [{}, {"meta": {}}, {"data": None}, [], "ok", None])
async def test_a_timeline_that_says_nothing_is_no_empty_timeline(told: object) -> None:
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        with pytest.raises(NoAnswer) as caught:
            await x.user_timeline(TOKEN, "7")
    assert caught.value.retryable


@pytest.mark.parametrize("beside", [{}, {"meta": {"result_count": 0}}, {"data": []}])
async def test_a_timeline_of_errors_alone_is_refused_and_never_empty(beside: dict[str, object]) -> None:
    errors = [{"type": "https://api.x.com/2/problems/not-authorized-for-resource", "detail": "Not for you."}]
    async with Peer(always(answer(200, {**beside, "errors": errors}))) as peer, a_client(peer.url) as x:
        with pytest.raises(Refused) as caught:
            await x.user_timeline(TOKEN, "7")
    assert caught.value.problem == "not-authorized-for-resource"
    assert caught.value.first_byte_at is not None


async def test_a_suspended_account_is_told_apart_also_in_a_200() -> None:
    errors = [{"type": "https://api.twitter.com/2/problems/user-suspended", "title": "Suspended"}]
    async with Peer(always(answer(200, {"errors": errors}))) as peer, a_client(peer.url) as x:
        with pytest.raises(Suspended):
            await x.me(TOKEN)


@pytest.mark.parametrize("name", ["user-suspended", "user-suspended-code-64", "account-locked"])
async def test_every_way_in_which_x_says_that_an_account_is_shut_is_told_apart(name: str) -> None:
    said = PROBLEMS[name]
    async with Peer(always(answer(said.status, said.body))) as peer, a_client(peer.url) as x:
        with pytest.raises(Suspended):
            await x.me(TOKEN)


async def test_errors_beside_data_are_data() -> None:
    told = {
        "data": [{"id": "12"}],
        "errors": [{"title": "Not Found", "resource_id": "11", "type": "https://api.x.com/2/problems/x"}],
    }
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        page = await x.user_timeline(TOKEN, "7")
    assert [post.id for post in page.data] == ["12"]
    assert [problem.resource_id for problem in page.errors] == ["11"]


async def test_a_deletion_says_whether_it_deleted() -> None:
    async with Peer(always(answer(200, {"data": {"deleted": True}}))) as peer, a_client(peer.url) as x:
        assert (await x.delete_post(TOKEN, "12")).data.deleted
    assert head_and_body(peer.requests[0])[0] == "DELETE /2/tweets/12 HTTP/1.1"


async def test_an_id_cannot_reach_another_path() -> None:
    async with Peer(always(answer(200, {"data": {"deleted": True}}))) as peer, a_client(peer.url) as x:
        await x.delete_post(TOKEN, "../users?x=1#")
    assert head_and_body(peer.requests[0])[0] == "DELETE /2/tweets/..%2Fusers%3Fx%3D1%23 HTTP/1.1"


async def test_many_at_once_share_the_connections_there_are() -> None:
    async with Peer(always(answer())) as peer, a_client(peer.url, lanes=4) as x:
        posts = [CreatePost(text=f"post {number}") for number in range(40)]
        answers = await asyncio.gather(*(x.create_post(TOKEN, post) for post in posts))
        assert x.lanes_free == 4
    assert len(answers) == 40
    sent = {json.loads(head_and_body(request)[2])["text"] for request in peer.requests}
    assert sent == {post.text for post in posts}
    assert len(peer.conversations) == 4


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def in_pieces(conversation: Conversation) -> None:
        await conversation.request()
        for byte in answer():
            await conversation.send(bytes([byte]))

    async with Peer(in_pieces) as peer, a_client(peer.url) as x:
        assert (await x.create_post(TOKEN, CreatePost(text="a"))).data.id == "1790000000000000001"


async def test_a_chunked_answer_with_an_interim_one_before_it_is_read() -> None:
    body = b'{"data":{"id":"5"}}'
    raw = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n"
    raw += f"{len(body):x}".encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
    async with Peer(always(raw)) as peer, a_client(peer.url) as x:
        assert (await x.create_post(TOKEN, CreatePost(text="a"))).data.id == "5"
