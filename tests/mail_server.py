"""A mail server that takes what it is told to take: SMTP with STARTTLS, TLS and AUTH PLAIN, a few lines of it."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailServer:
    """What came in; `says` answers the next messages, and after that 250."""

    username: str = ""
    password: str = ""
    says: list[str] = field(default_factory=list)
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    in_private: list[bool] = field(default_factory=list)
    port: int = 0

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None, *, at_once: bool = False) -> AsyncIterator["MailServer"]:
        """Serve on loopback; TLS from the first byte, or by STARTTLS where a context is given."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._talk(reader, writer, tls, at_once)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls if at_once else None)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext | None, private: bool
    ) -> None:
        async def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")
            await writer.drain()

        known = not self.username
        to: list[str] = []
        await say("220 here")
        while line := (await reader.readline()).decode().strip():
            word, _, rest = line.partition(" ")
            match word.upper():
                case "EHLO":
                    offers = ["AUTH PLAIN", *(["STARTTLS"] if tls and not private else [])]
                    await say("\r\n".join(["250-here", *(f"250-{one}" for one in offers), "250 OK"]))
                case "STARTTLS" if tls is not None:
                    await say("220 go on")
                    await writer.start_tls(tls)
                    private = True
                case "AUTH":
                    _, name, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
                    known = (name, password) == (self.username, self.password)
                    await say("235 known" if known else f"535 {password} is wrong")
                case "MAIL" | "RCPT" if not known:
                    await say("530 sign in")
                case "RCPT":
                    to.append(rest.partition("<")[2].partition(">")[0])
                    await say("250 OK")
                case "DATA":
                    await say("354 go on")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    answer = self.says.pop(0) if self.says else "250 taken"
                    if answer.startswith("250"):
                        self.messages.append(message_from_bytes(content[:-5], policy=policy.default))  # type: ignore[arg-type]
                        self.recipients.append(to)
                        self.in_private.append(private)
                    await say(answer)
                case "QUIT":
                    await say("221 bye")
                    return
                case _:
                    await say("250 OK")
