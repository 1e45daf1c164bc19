"""`python -m tests.gateway.reverse_proxy PORT TO CERTIFICATE KEY`: TLS in front of a server on loopback, as Caddy and
nginx do it: the caller's address is added to X-Forwarded-For, whatever he says there himself."""

import asyncio
import ssl
import sys


async def main(port: int, to: int, certificate: str, key: str) -> None:
    """Serve until killed."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        fields = [line.partition(":") for line in head[1:]]
        known = [value.strip() for name, _, value in fields if name.lower() == "x-forwarded-for"]
        kept = [f"{name}:{value}" for name, _, value in fields if not name.lower().startswith(("x-forwarded", "conn"))]
        came_from = ", ".join([*known, writer.get_extra_info("peername")[0]])
        said = [head[0], *kept, f"X-Forwarded-For: {came_from}", "X-Forwarded-Proto: https", "Connection: close"]
        try:
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", to)
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        their_writer.write("\r\n".join(said).encode("latin-1") + b"\r\n\r\n")
        length = next((int(value) for name, _, value in fields if name.lower() == "content-length"), 0)
        their_writer.write(await reader.readexactly(length))
        writer.write(await their_reader.read())
        await writer.drain()
        writer.close()
        their_writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=trust)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
