"""Whatever breaks on the way to X: was it sent, is the outcome known, and are the connections whole after it."""

import asyncio
import json
import logging
import re
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import httpcore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from blocks.x.client import XClient
from blocks.x.errors import (
    Duplicate,
    Exhausted,
    NoAnswer,
    NotSent,
    Refused,
    Suspended,
    Throttled,
    Unauthorized,
    XError,
)
from blocks.x.wire import CreatePost
from tests.unit.x_peer import Conversation, Peer, Script, a_client, always, answer, once, tls_for_loopback, until

TOKEN = SecretStr("planted-t0ken/of+bot=a")
POST = CreatePost(text="hello")
SHORT_SECONDS = 0.3
DRIP_SECONDS = 2.5
LONG_BYTES = 20_000_000
HTML = b"<!DOCTYPE html><title>Attention Required! | Cloudflare</title>"


async def failure_of(x: XClient, *, latch: Callable[[], None] | None = None, traceparent: str | None = None) -> XError:
    with pytest.raises(XError) as caught:
        await x.create_post(TOKEN, POST, latch=latch, traceparent=traceparent)
    assert x.lanes_free == 2
    return caught.value


async def failure_by(script: Script, *, deadline_seconds: float = 5.0) -> XError:
    async with Peer(script) as peer, a_client(peer.url, deadline_seconds=deadline_seconds) as x:
        return await failure_of(x)


def assert_not_sent(error: XError) -> None:
    assert type(error) is NotSent
    assert error.outcome_known
    assert error.first_byte_at is None


def assert_unknown(error: XError) -> None:
    assert type(error) is NoAnswer
    assert not error.outcome_known
    assert not error.retryable
    assert error.first_byte_at is not None


@pytest.mark.promise("P2")
class TestNothingWasSent:
    async def test_a_refused_connection(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        async with a_client(f"http://127.0.0.1:{port}") as x:
            error = await failure_of(x)
        assert_not_sent(error)
        assert error.retryable
        assert error.problem == "connect-failed"

    async def test_a_name_that_does_not_resolve(self) -> None:
        async with a_client("http://x.invalid") as x:
            assert_not_sent(await failure_of(x))

    async def test_a_certificate_that_is_not_trusted(self, tmp_path: Path) -> None:
        server_context, _ = tls_for_loopback(tmp_path)
        async with Peer(always(answer()), server_context) as peer, a_client(peer.url) as x:
            error = await failure_of(x)
        assert_not_sent(error)
        assert error.problem == "tls-failed"
        assert peer.requests == []

    async def test_a_peer_that_speaks_no_tls(self) -> None:
        async def in_the_clear(conversation: Conversation) -> None:
            await conversation.send(answer())

        async with Peer(in_the_clear) as peer, a_client(peer.url.replace("http:", "https:")) as x:
            assert_not_sent(await failure_of(x))

    async def test_a_handshake_that_stalls(self) -> None:
        async with Peer(Conversation.drain_to_end) as peer:
            async with a_client(peer.url.replace("http:", "https:"), deadline_seconds=SHORT_SECONDS) as x:
                error = await failure_of(x)
                await peer.conversations[0].ended.wait()
        assert_not_sent(error)
        assert error.problem == "deadline"

    async def test_no_connection_free_before_the_deadline(self) -> None:
        async with Peer(Conversation.drain_to_end) as peer, a_client(peer.url, lanes=1) as x:
            first = asyncio.create_task(x.create_post(TOKEN, POST))
            await until(lambda: not x.lanes_free)
            with pytest.raises(NotSent) as caught:
                await x.create_post(TOKEN, POST, deadline_seconds=SHORT_SECONDS)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            assert x.lanes_free == 1
        assert caught.value.problem == "deadline"

    @pytest.mark.parametrize("objection", [TimeoutError("late"), httpcore.WriteError("x"), RuntimeError()])
    async def test_a_latch_that_raises_leaves_no_byte_at_the_peer(self, objection: Exception) -> None:
        def shut() -> None:
            raise objection

        async def listen_then_answer(conversation: Conversation) -> None:
            await conversation.request()
            await conversation.send(answer())
            await conversation.drain_to_end()

        async with Peer(listen_then_answer) as peer, a_client(peer.url) as x:
            async with asyncio.timeout(2):  # httpcore would swallow a write error and read on until the deadline
                error = await failure_of(x, latch=shut)
            assert_not_sent(error)
            assert error.problem == "latch"
            await peer.conversations[0].ended.wait()
            assert peer.conversations[0].received == b""
            assert (await x.create_post(TOKEN, POST, latch=lambda: None)).status == 201

    async def test_the_latch_is_asked_when_the_connection_stands_and_nothing_is_written(self) -> None:
        seen: list[tuple[int, int]] = []
        async with Peer(always(answer())) as peer, a_client(peer.url, lanes=1) as x:
            await x.create_post(TOKEN, POST)

            def look() -> None:
                seen.append((len(peer.conversations), len(peer.requests)))

            await x.create_post(TOKEN, POST, latch=look)
        assert seen == [(1, 1)]

    @pytest.mark.parametrize("broken", ["a\r\nx: y", "ü", " padded ", ""])
    async def test_a_header_that_cannot_be(self, broken: str) -> None:
        async with Peer(always(answer())) as peer, a_client(peer.url) as x:
            error = await failure_of(x, traceparent=broken)
        assert_not_sent(error)
        assert not error.retryable

    async def test_a_client_that_is_closed(self) -> None:
        async with Peer(always(answer())) as peer, a_client(peer.url) as x:
            pass
        with pytest.raises(NotSent):
            await x.create_post(TOKEN, POST)


@pytest.mark.promise("P2")
class TestTheOutcomeIsUnknown:
    @pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 599])
    @pytest.mark.parametrize("body", [b"", HTML, b'{"title":"Service Unavailable","type":"about:blank"}'])
    async def test_a_5xx(self, status: int, body: bytes) -> None:
        error = await failure_by(always(answer(status, body)))
        assert_unknown(error)
        assert error.status == status

    async def test_every_cut_of_an_answer(self) -> None:
        whole = answer()
        lengths = iter(range(len(whole) + 1))

        async def a_byte_more_each_time(conversation: Conversation) -> None:
            await once(whole[: next(lengths)])(conversation)

        async with Peer(a_byte_more_each_time) as peer, a_client(peer.url) as x:
            for _ in range(len(whole)):
                assert_unknown(await failure_of(x))
            assert (await x.create_post(TOKEN, POST)).status == 201

    async def test_a_cut_answer_keeps_the_status_it_began_with(self) -> None:
        error = await failure_by(once(answer()[:-3]))
        assert_unknown(error)
        assert error.status == 201

    async def test_a_reset_before_the_request_is_read(self) -> None:
        async def at_once(conversation: Conversation) -> None:
            await conversation.reader.readexactly(1)
            conversation.reset()

        assert_unknown(await failure_by(at_once))

    async def test_a_reset_after_the_request(self) -> None:
        async def then(conversation: Conversation) -> None:
            await conversation.request()
            conversation.reset()

        assert_unknown(await failure_by(then))

    async def test_a_reset_in_the_middle_of_the_answer(self) -> None:
        async def midway(conversation: Conversation) -> None:
            await conversation.request()
            await conversation.send(answer()[:-10])
            conversation.reset()

        assert_unknown(await failure_by(midway))

    async def test_a_reset_while_a_long_body_is_written(self) -> None:
        async def stop_listening(conversation: Conversation) -> None:
            await conversation.reader.readexactly(1)
            conversation.reset()

        async with Peer(stop_listening) as peer, a_client(peer.url) as x:
            with pytest.raises(NoAnswer):
                await x.create_post(TOKEN, CreatePost(text="x" * LONG_BYTES))
            assert x.lanes_free == 2

    @pytest.mark.parametrize("then", ["stalls", "resets"])
    @pytest.mark.parametrize("heard", ["no body", "half the body", "the whole body"])
    async def test_a_peer_that_has_heard(self, heard: str, then: str) -> None:
        async def listen(conversation: Conversation) -> None:
            head = await conversation.reader.readuntil(b"\r\n\r\n")
            length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
            parts = {"no body": 0, "half the body": length // 2, "the whole body": length}
            await conversation.reader.readexactly(parts[heard])
            if then == "resets":
                conversation.reset()
            else:
                await released.wait()

        released = asyncio.Event()
        long = CreatePost(text="x" * LONG_BYTES)  # more than the kernel takes on both sides, so that writing waits
        async with Peer(listen) as peer, a_client(peer.url) as x:
            with pytest.raises(NoAnswer) as caught:
                await x.create_post(TOKEN, long, deadline_seconds=5 if then == "resets" else SHORT_SECONDS)
            released.set()
            assert x.lanes_free == 2
        assert_unknown(caught.value)
        if then == "stalls":
            assert caught.value.problem == "deadline"

    async def test_an_answer_of_one_byte_a_second_ends_at_the_deadline(self) -> None:
        async def drip(conversation: Conversation) -> None:
            await conversation.request()
            for byte in answer():
                await conversation.send(bytes([byte]))
                await asyncio.sleep(1)

        loop = asyncio.get_running_loop()
        started = loop.time()
        assert_unknown(await failure_by(drip, deadline_seconds=DRIP_SECONDS))
        assert DRIP_SECONDS <= loop.time() - started < DRIP_SECONDS + 2

    async def test_silence_until_the_deadline(self) -> None:
        error = await failure_by(Conversation.drain_to_end, deadline_seconds=SHORT_SECONDS)
        assert_unknown(error)
        assert error.problem == "deadline"

    async def test_a_drip_that_is_never_late_for_one_read(self) -> None:
        loop = asyncio.get_running_loop()

        async def drip(conversation: Conversation) -> None:
            await conversation.request()
            await conversation.send(answer()[:-200])
            while not conversation.reader.at_eof():
                conversation.writer.write(b"x-more: more\r\n")
                tick = loop.create_future()
                loop.call_later(SHORT_SECONDS / 20, tick.set_result, None)
                await tick

        started = loop.time()
        assert_unknown(await failure_by(drip, deadline_seconds=SHORT_SECONDS))
        assert loop.time() - started < SHORT_SECONDS + 2

    async def test_a_tls_record_that_is_garbage(self, tmp_path: Path) -> None:
        server_context, ca_file = tls_for_loopback(tmp_path)

        async def garbage(conversation: Conversation) -> None:
            await conversation.request()
            with socket.socket(fileno=socket.dup(conversation.writer.get_extra_info("socket").fileno())) as below_tls:
                below_tls.send(b"\x17\x03\x03\x00\x20" + b"g" * 32)
            await conversation.drain_to_end()

        async with Peer(garbage, server_context) as peer, a_client(peer.url, ca_file=ca_file) as x:
            error = await failure_of(x)
        assert_unknown(error)
        assert error.problem == "tls-failed"

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"{}", b"null", b"[]", b'{"data":{}}', b'{"data":{"id":7}}', b'{"data":{"id":"x"}}', HTML]
    )
    @pytest.mark.parametrize("status", [200, 201, 202])
    async def test_a_created_that_names_no_post(self, status: int, body: bytes) -> None:
        error = await failure_by(always(answer(status, body)))
        assert_unknown(error)
        assert error.problem == "unreadable-answer"

    async def test_a_created_with_errors_alone(self) -> None:
        assert_unknown(await failure_by(always(answer(201, {"errors": [{"title": "x"}]}))))

    @pytest.mark.parametrize("status", [101, 204, 301, 303, 408])
    async def test_a_status_that_settles_nothing(self, status: int) -> None:
        assert_unknown(await failure_by(always(answer(status, b""))))

    @pytest.mark.parametrize("status", [400, 403, 404, 451])
    async def test_a_page_of_somebody_in_front_of_x(self, status: int) -> None:
        error = await failure_by(always(answer(status, HTML, kind="text/html")))
        assert_unknown(error)
        assert (error.status, error.problem) == (status, "unreadable-answer")

    async def test_nothing_that_is_http(self) -> None:
        assert_unknown(await failure_by(once(b"SSH-2.0-OpenSSH_9.6\r\n")))

    async def test_cancelled_says_so_itself_and_the_latch_knows(self) -> None:
        asked: list[str] = []
        async with Peer(Conversation.drain_to_end) as peer, a_client(peer.url) as x:
            task = asyncio.create_task(x.create_post(TOKEN, POST, latch=lambda: asked.append("sent")))
            await until(lambda: asked)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert x.lanes_free == 2


REFUSALS = [
    (401, {"title": "Unauthorized", "type": "about:blank", "status": 401}, Unauthorized, None),
    (401, b"", Unauthorized, None),
    (402, {"type": "https://api.x.com/2/problems/credits-depleted", "detail": "x"}, Exhausted, "credits-depleted"),
    (403, {"type": "https://api.twitter.com/2/problems/client-forbidden"}, Refused, "client-forbidden"),
    (403, {"type": "https://api.x.com/2/problems/oauth1-permissions"}, Refused, "oauth1-permissions"),
    (403, {"type": "https://api.x.com/2/problems/user-suspended"}, Suspended, "user-suspended"),
    (403, {"errors": [{"code": 64, "message": "Your account is suspended"}]}, Suspended, "code-64"),
    (
        403,
        {
            "type": "about:blank",
            "title": "Forbidden",
            "detail": "You are not allowed to create a Tweet with duplicate content.",
        },
        Duplicate,
        None,
    ),
    (403, {"errors": [{"code": 187, "message": "Status is a duplicate."}]}, Duplicate, "code-187"),
    (400, {"type": "https://api.x.com/2/problems/invalid-request", "errors": [{}]}, Refused, "invalid-request"),
    (404, b"", Refused, None),
    (404, {"errors": "x", "type": 5}, Refused, None),
    (429, {"title": "Too Many Requests", "type": "about:blank", "status": 429}, Throttled, None),
    (429, {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, Throttled, "code-88"),
    (429, HTML, Throttled, None),
    (429, {"type": "https://api.twitter.com/2/problems/usage-capped"}, Exhausted, "usage-capped"),
]


@pytest.mark.parametrize(("status", "body", "kind", "problem"), REFUSALS)
async def test_a_refusal_is_known_and_named(status: int, body: object, kind: type[XError], problem: str | None) -> None:
    error = await failure_by(always(answer(status, body, kind="application/problem+json")))
    assert type(error) is kind
    assert error.outcome_known
    assert (error.status, error.problem) == (status, problem)
    assert error.retryable == (kind is Throttled)
    assert error.first_byte_at is not None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "1795000000"}, 1795000000),
        ({"x-rate-limit-remaining": "5", "x-rate-limit-reset": "1795000000"}, 1795000000),
        (
            {
                "x-rate-limit-remaining": "5",
                "x-rate-limit-reset": "1795000000",
                "x-app-limit-24hour-remaining": "0",
                "x-app-limit-24hour-reset": "1795050000",
            },
            1795050000,
        ),
        ({"retry-after": "Wed, 18 Nov 2026 11:06:40 GMT"}, 1795000000),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
async def test_throttled_says_until_when(headers: dict[str, str], seconds: int | None) -> None:
    error = await failure_by(always(answer(429, {"title": "Too Many Requests"}, headers)))
    assert (error.retry_at.timestamp() if error.retry_at else None) == seconds


async def test_retry_after_in_seconds_counts_from_the_request() -> None:
    error = await failure_by(always(answer(429, b"", {"retry-after": "60"})))
    assert error.retry_at is not None and error.first_byte_at is not None
    assert (error.retry_at - error.first_byte_at).total_seconds() == 60


@pytest.mark.parametrize("raw", [b"", answer(503, b""), answer(403, HTML), answer(200, b"{")[:-1], answer(200, b"{")])
async def test_an_unanswered_read_or_deletion_may_be_asked_again(raw: bytes) -> None:
    async with Peer(once(raw)) as peer, a_client(peer.url) as x:
        reads = (
            x.me(TOKEN),
            x.user_timeline(TOKEN, "7"),
            x.mentions(TOKEN, "7"),
            x.posts(TOKEN, ["8"]),
            x.users(TOKEN, ["7"]),
        )
        for ask in (*reads, x.delete_post(TOKEN, "8")):
            with pytest.raises(NoAnswer) as caught:
                await ask
            assert caught.value.retryable


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.one_of(
        st.binary(max_size=400),
        st.builds(answer, st.sampled_from([200, 201, 400, 403, 429, 500]), st.binary(max_size=200)),
        st.builds(
            lambda status, told: answer(status, json.dumps(told).encode()),
            st.sampled_from([200, 201, 400, 401, 403, 429]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=20),
                lambda inner: (
                    st.lists(inner, max_size=4)
                    | st.dictionaries(
                        st.sampled_from(
                            [
                                "data",
                                "errors",
                                "includes",
                                "meta",
                                "type",
                                "detail",
                                "code",
                                "id",
                                "text",
                                "error",
                                "title",
                            ]
                        ),
                        inner,
                        max_size=5,
                    )
                ),
                max_leaves=12,
            ),
        ),
    )
)
async def test_whatever_comes_back_is_an_answer_or_an_error_of_ours(raw: bytes) -> None:
    async with Peer(once(raw)) as peer, a_client(peer.url, lanes=1) as x:
        for ask in (x.create_post(TOKEN, POST), x.me(TOKEN), x.user_timeline(TOKEN, "7"), x.posts(TOKEN, ["8"])):
            try:
                told = await ask
            except XError as error:
                assert error.first_byte_at is not None
            else:
                assert told.data is not None
            assert x.lanes_free == 1


def everything_said_by(error: BaseException) -> str:
    """Text, facts, chain, notes and the locals of every frame: all that a log or a page could show."""
    said = [repr(error), str(error), repr(error.args), repr(vars(error)), repr(getattr(error, "__notes__", []))]
    # Without the first frame, which is the test's own.
    ours = error.__traceback__ and error.__traceback__.tb_next
    said += traceback.TracebackException(type(error), error, ours, capture_locals=True).format()
    for below in (error.__cause__, error.__context__):
        said += [everything_said_by(below)] if below is not None else []
    return "\n".join(said)


ECHO = json.dumps({"detail": f"bad {TOKEN.get_secret_value()}", "type": TOKEN.get_secret_value()}).encode()
ECHOES = [
    answer(400, ECHO),
    answer(401, ECHO),
    answer(429, ECHO),
    answer(500, ECHO),
    answer(201, ECHO),
    answer(200, {"errors": [json.loads(ECHO)]}),
    b"HTTP/1.1 200 OK\r\n" + TOKEN.get_secret_value().encode() + b"\r\n\r\n",
    TOKEN.get_secret_value().encode() + b"\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("raw", ECHOES)
async def test_no_error_repeats_the_token(raw: bytes) -> None:
    async with Peer(once(raw)) as peer, a_client(peer.url) as x:
        for ask in (x.create_post(TOKEN, POST), x.me(TOKEN)):
            with pytest.raises(XError) as caught:
                await ask
            assert TOKEN.get_secret_value() not in everything_said_by(caught.value)


async def test_no_log_line_repeats_the_token(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("", "httpcore", "httpx"):  # whatever another test has quietened
        caplog.set_level(logging.DEBUG, logger=name)
    async with Peer(always(answer(403, {}))) as peer, a_client(peer.url) as x:
        await failure_of(x)
    assert "send_request_headers.started" in caplog.text
    assert TOKEN.get_secret_value() not in caplog.text


async def test_no_error_repeats_a_token_that_no_header_can_carry() -> None:
    broken = SecretStr("planted\r\ntoken")
    async with Peer(always(answer())) as peer, a_client(peer.url) as x:
        with pytest.raises(NotSent) as caught:
            await x.create_post(broken, POST)
    assert "planted" not in everything_said_by(caught.value)


async def test_no_error_repeats_a_token_that_the_latch_let_slip() -> None:
    def shut() -> None:
        raise RuntimeError(f"no: {TOKEN.get_secret_value()}")

    async with Peer(always(answer())) as peer, a_client(peer.url) as x:
        error = await failure_of(x, latch=shut)
    assert error.detail == "no: [hidden]"
    assert TOKEN.get_secret_value() not in everything_said_by(error)
