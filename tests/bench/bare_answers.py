"""The least that can answer a create: uvicorn and httptools, which read the request and say the same to each.

A process of its own, so that it has a core of its own as the sandbox has; prints its address.
"""

import asyncio
import contextlib
import signal
from typing import Any

import uvicorn

BODY = b'{"data":{"id":"1990000000000000000","text":"hello","edit_history_tweet_ids":["1990000000000000000"]}}'
HEADERS = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", b"%d" % len(BODY))]


async def answer(_: Any, receive: Any, send: Any) -> None:
    """Take the whole body, then answer 201."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def main() -> None:
    """Serve until SIGTERM."""
    config = uvicorn.Config(
        answer, port=0, http="httptools", ws="none", lifespan="off", access_log=False, log_level="warning"
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.handle_exit, signal.SIGTERM, None)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    await serving


if __name__ == "__main__":
    asyncio.run(main())
