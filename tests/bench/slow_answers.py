"""A peer that takes a post over TLS and answers after 50 ms; `ca.pem` and `key.pem` lie in the folder it is given.

A process of its own, so that it has a core of its own as X has; prints its address.
"""

import asyncio
import ssl
import sys
from pathlib import Path

from tests.unit.x_peer import answer

THINKS_SECONDS = 0.05


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request after the other until the client leaves."""
    said = answer()
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            await asyncio.sleep(THINKS_SECONDS)
            writer.write(said)
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=context)
    print(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
