"""The connections to X: reused, bounded, and whole after any cancellation."""

import asyncio
import contextlib
import gc
import ssl
from pathlib import Path

import httpcore
import httpx
import pytest

from blocks import tls
from blocks.x import lanes as module
from blocks.x.lanes import Lanes
from tests.unit.x_peer import Conversation, Peer, always, answer, tls_for_loopback, until

WITHIN_SECONDS = 5.0


def a_request(url: str, **extensions: object) -> httpx.Request:
    return httpx.Request("POST", url + "/2/tweets", content=b"{}", extensions=extensions)


@contextlib.asynccontextmanager
async def lanes_to(peer: Peer, count: int = 1, ca_file: Path | None = None):
    transport = Lanes(httpx.URL(peer.url), count, ca_file=ca_file)
    async with asyncio.timeout(WITHIN_SECONDS), transport:
        yield transport


async def test_the_connection_used_last_is_used_next() -> None:
    async with Peer(always(answer())) as peer, lanes_to(peer, 3) as lanes:
        for _ in range(5):
            assert (await lanes.handle_async_request(a_request(peer.url))).status_code == 201
        assert len(peer.conversations) == 1
        assert len(peer.requests) == 5


async def test_there_are_never_more_connections_than_lanes() -> None:
    async with Peer(always(answer())) as peer, lanes_to(peer, 3) as lanes:
        await asyncio.gather(*(lanes.handle_async_request(a_request(peer.url)) for _ in range(20)))
        assert len(peer.conversations) == 3
        assert len(peer.requests) == 20
        assert lanes.free == 3


async def test_lanes_come_at_once_and_go_when_they_are_free() -> None:
    released = asyncio.Event()

    async def slow(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await released.wait()
            await conversation.send(answer())

    async with Peer(slow) as peer, lanes_to(peer, 1) as lanes:
        requests = [asyncio.create_task(lanes.handle_async_request(a_request(peer.url))) for _ in range(3)]
        await until(lambda: len(peer.requests) == 1)
        await lanes.resize(3)
        await until(lambda: len(peer.requests) == 3)
        await lanes.resize(2)
        assert lanes.free == 0
        released.set()
        assert {answered.status_code for answered in await asyncio.gather(*requests)} == {201}
        assert lanes.free == 2
        await lanes.resize(1)
        await lanes.resize(4)
        assert lanes.free == 4


async def test_a_connection_that_the_peer_closed_while_idle_is_not_used() -> None:
    async def one_request_each(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(answer())

    async with Peer(one_request_each) as peer, lanes_to(peer) as lanes:
        for _ in range(3):
            assert (await lanes.handle_async_request(a_request(peer.url))).status_code == 201
            await peer.conversations[-1].ended.wait()
        assert len(peer.conversations) == 3


async def test_an_answer_that_says_close_costs_the_connection_only() -> None:
    async with Peer(always(answer(headers={"connection": "close"}))) as peer, lanes_to(peer) as lanes:
        for _ in range(3):
            await lanes.handle_async_request(a_request(peer.url))
        assert len(peer.conversations) == 3
        assert lanes.free == 1


async def test_trace_events_come_as_httpcore_names_them_and_once() -> None:
    events: list[str] = []

    async def trace(event: str, info: object) -> None:
        events.append(event)

    async with Peer(always(answer())) as peer, lanes_to(peer) as lanes:
        await lanes.handle_async_request(a_request(peer.url, trace=trace))
    assert events.count("http11.send_request_headers.started") == 1
    assert events.index("connection.connect_tcp.complete") < events.index("http11.send_request_headers.started")


async def test_a_request_cancelled_while_it_waits_for_the_answer_hangs_up_and_frees_its_lane() -> None:
    asked = asyncio.Event()

    async def silent_first(conversation: Conversation) -> None:
        await conversation.request()
        if not asked.is_set():
            asked.set()
            await conversation.drain_to_end()
        else:
            await conversation.send(answer())

    async with Peer(silent_first) as peer, lanes_to(peer) as lanes:
        waiting = asyncio.create_task(lanes.handle_async_request(a_request(peer.url)))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await peer.conversations[0].ended.wait()
        assert lanes.free == 1
        assert (await lanes.handle_async_request(a_request(peer.url))).status_code == 201


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("cancellations", [1, 2])
async def test_a_cancellation_at_any_step_loses_no_lane(cancellations: int, tls: bool, tmp_path: Path) -> None:
    server_context, ca_file = tls_for_loopback(tmp_path) if tls else (None, None)
    async with Peer(always(answer()), server_context) as peer, lanes_to(peer, ca_file=ca_file) as lanes:
        finished = step = 0
        while finished < 3:
            task = asyncio.create_task(lanes.handle_async_request(a_request(peer.url)))
            for _ in range(step):
                await asyncio.sleep(0)
            for _ in range(cancellations):
                task.cancel()
                await asyncio.sleep(0)
            with contextlib.suppress(asyncio.CancelledError):
                await task
                finished += 1
            assert lanes.free == 1
            assert (await lanes.handle_async_request(a_request(peer.url))).status_code == 201
            step += 1
        assert step > 10


async def test_a_request_cancelled_in_the_queue_takes_no_lane_with_it() -> None:
    released = asyncio.Event()

    async def slow(conversation: Conversation) -> None:
        await conversation.request()
        await released.wait()
        await conversation.send(answer())

    async with Peer(slow) as peer, lanes_to(peer) as lanes:
        first = asyncio.create_task(lanes.handle_async_request(a_request(peer.url)))
        await until(lambda: peer.requests)
        second = asyncio.create_task(lanes.handle_async_request(a_request(peer.url)))
        await asyncio.sleep(0)
        released.set()
        await until(lambda: first.done())
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert lanes.free == 1


async def test_a_cancelled_tls_handshake_leaves_no_socket_behind() -> None:
    connected = asyncio.Event()

    async def mute(conversation: Conversation) -> None:
        connected.set()
        await conversation.drain_to_end()

    async with Peer(mute) as peer:
        async with asyncio.timeout(WITHIN_SECONDS), Lanes(httpx.URL(f"https://127.0.0.1:{peer.port}"), 1) as lanes:
            task = asyncio.create_task(lanes.handle_async_request(a_request(f"https://127.0.0.1:{peer.port}")))
            await connected.wait()
            await until(lambda: peer.conversations[0].received)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            gc.disable()
            try:
                await peer.conversations[0].ended.wait()
            finally:
                gc.enable()
            assert lanes.free == 1


async def test_tls_trusts_the_given_ca_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_context, ca_file = tls_for_loopback(tmp_path)
    keys = tmp_path / "session-keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    async with Peer(always(answer()), server_context) as peer:
        async with lanes_to(peer, ca_file=ca_file) as lanes:
            assert (await lanes.handle_async_request(a_request(peer.url))).status_code == 201
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        async with lanes_to(peer) as lanes:
            with pytest.raises(httpcore.ConnectError):
                await lanes.handle_async_request(a_request(peer.url))
    assert not keys.exists()


def test_without_a_ca_file_the_systems_own_certificates_count() -> None:
    context = tls.tls_context(None)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with Peer(always(answer())) as peer, lanes_to(peer) as lanes:
        assert (await lanes.handle_async_request(a_request(peer.url))).status_code == 201


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 1000)
    async with Peer(always(answer(body=b"x" * 1001))) as peer, lanes_to(peer) as lanes:
        with pytest.raises(httpx.RemoteProtocolError):
            await lanes.handle_async_request(a_request(peer.url))
        assert lanes.free == 1


async def test_a_compressed_answer_is_not_unpacked() -> None:
    async with Peer(always(answer(headers={"content-encoding": "gzip"}))) as peer, lanes_to(peer) as lanes:
        with pytest.raises(httpx.DecodingError):
            await lanes.handle_async_request(a_request(peer.url))


async def test_closing_closes_idle_connections_now_and_busy_ones_at_their_end() -> None:
    released = asyncio.Event()

    async def slow_second(conversation: Conversation) -> None:
        await conversation.request()
        if conversation is peer.conversations[1]:
            await released.wait()
        await conversation.send(answer())
        await conversation.drain_to_end()

    async with Peer(slow_second) as peer, lanes_to(peer, 2) as lanes:
        tasks = [asyncio.create_task(lanes.handle_async_request(a_request(peer.url))) for _ in range(2)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await lanes.aclose()
        await peer.conversations[0].ended.wait()
        released.set()
        assert [answer.status_code for answer in await asyncio.gather(*tasks)] == [201, 201]
        await peer.conversations[1].ended.wait()
        with pytest.raises(httpx.PoolTimeout):
            await lanes.handle_async_request(a_request(peer.url))
