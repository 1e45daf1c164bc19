"""Messages by mail, over SMTP."""

import asyncio
import smtplib
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal
from uuid import UUID

from blocks.notifications.errors import EXPECTED, NotAllowed, translate
from blocks.notifications.way import Way
from blocks.tls import tls_context

Security = Literal["tls", "starttls", "none"]
# Submission with TLS from the first byte, and with STARTTLS; 25 is between servers.
PORTS = (465, 587)


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in, as whom; `none` is for servers that a setting names."""

    host: str
    port: int
    security: Security
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Mail:
    """One message; sent again it has the same `delivery_id`, of which its Message-ID is made."""

    sender: str
    recipients: Sequence[str]
    subject: str
    text: str
    delivery_id: UUID
    at: datetime


def judge(server: MailServer, way: Way) -> None:
    """Raise NotAllowed for a server that we would not hand mail in to."""
    if server.security == "none" and not way.allows(server.host, server.port):
        raise NotAllowed("a mail server without TLS has to have its host named in notifications.private_hosts")


async def send(server: MailServer, mail: Mail, way: Way) -> None:
    """Hand in one message. Raises ChannelError."""
    judge(server, way)
    talk = _Talk(server, way)
    try:
        async with asyncio.timeout(way.seconds):
            addresses = await way.reach(PORTS).addresses(server.host, server.port)
            await asyncio.to_thread(talk.hand_in, addresses, _message(mail))
    except EXPECTED as error:
        # The thread may still wait for a server that dribbles.
        talk.cut()
        raise translate(error) from None


def _message(mail: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, ", ".join(mail.recipients), mail.subject
    message["Date"] = format_datetime(mail.at)
    message["Message-ID"] = f"<{mail.delivery_id}@{mail.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message


class _Talk(smtplib.SMTP):
    """One conversation with a server, at one of the addresses that were judged."""

    def __init__(self, server: MailServer, way: Way) -> None:
        super().__init__(local_hostname="localhost", timeout=way.seconds)
        self._server = server
        self._host = server.host  # what STARTTLS expects in the certificate
        self._context = tls_context(way.ca_file)
        self._addresses: Sequence[str] = ()

    def hand_in(self, addresses: Sequence[str], message: EmailMessage) -> None:
        """The whole conversation."""
        self._addresses = addresses
        with self:
            self.connect(self._server.host, self._server.port)
            if self._server.security == "starttls":
                self.starttls(context=self._context)
            if self._server.username:
                self.login(self._server.username, self._server.password)
            self.send_message(message)

    def cut(self) -> None:
        """Hang up in the middle."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        problem: OSError = OSError("no address")
        for address in self._addresses:
            try:
                plain = socket.create_connection((address, port), timeout)
            except OSError as error:
                problem = error
                continue
            tls = self._server.security == "tls"
            return self._context.wrap_socket(plain, server_hostname=host) if tls else plain
        raise problem
