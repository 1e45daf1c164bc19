"""A raw peer that plays the X API byte by byte, so that tests can break the wire wherever they like."""

import asyncio
import datetime
import json
import ssl
import struct
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from blocks.x.client import XClient

CREATED = {"data": {"id": "1790000000000000001", "text": "hello"}}


class Conversation:
    """One connection as the peer sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests: list[bytes] = []
        self.received = bytearray()
        self.ended = asyncio.Event()

    async def request(self) -> bytes:
        """Read one whole request; raises IncompleteReadError at the end of the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.received += head
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await self.reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
        self.received += body
        self.requests.append(head + body)
        return head + body

    async def drain_to_end(self) -> None:
        """Read until the other side hangs up."""
        while more := await self.reader.read(65536):
            self.received += more

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    def reset(self) -> None:
        """Hang up with RST."""
        self.writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Conversation], Awaitable[None]]


class Peer:
    """A server on loopback that plays `script` on every connection."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.conversations: list[Conversation] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)

    @property
    def requests(self) -> list[bytes]:
        return [request for conversation in self.conversations for request in conversation.requests]

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(reader, writer)
        self.conversations.append(conversation)
        task = asyncio.create_task(self._converse(conversation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, conversation: Conversation) -> None:
        try:
            await self._script(conversation)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            conversation.ended.set()
            conversation.writer.close()


def answer(
    status: int = 201, body: Any = CREATED, headers: dict[str, str] | None = None, *, kind: str = "application/json"
) -> bytes:
    """A whole answer; a body that is not bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"content-type": kind, "content-length": str(len(content)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def always(raw: bytes) -> Script:
    """Answer each request with `raw` and keep the connection."""

    async def script(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.send(raw)

    return script


def once(raw: bytes) -> Script:
    """Answer the first request with `raw` and hang up."""

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(raw)

    return script


async def until(condition: Callable[[], object]) -> None:
    """Let everybody else run until the condition holds; the test's own timeout bounds it."""
    while not condition():
        await asyncio.sleep(0)


def a_client(url: str, *, lanes: int = 2, deadline_seconds: float = 5.0, ca_file: Path | None = None) -> XClient:
    return XClient(url, lanes=lanes, connect_timeout_seconds=2.0, deadline_seconds=deadline_seconds, ca_file=ca_file)


def tls_for_loopback(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server context with a fresh certificate for 127.0.0.1, and the file that a client has to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x test peer")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / "ca.pem", folder / "key.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return context, ca_file
