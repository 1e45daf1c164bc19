"""Channels by which operators are told, and how an alarm reads on each kind of them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tasks.domain.alarms import About, Alarm

Kind = Literal["webhook", "slack", "email"]

LINE_CHARACTERS_MAX = 500
PAUSE_MOST = timedelta(minutes=1)
# Where it stands which channels there are, for when the database cannot be asked; no channel has such a name.
NAMES = "_names"

Mailbox = Annotated[str, Field(max_length=254, pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$")]


class _Target(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _ByHttp(_Target):
    url: Annotated[
        SecretStr,
        Field(
            min_length=10,
            max_length=2000,
            description="Whoever knows it may write there.",
            examples=["https://example.org/hooks/1"],
        ),
    ]

    @field_validator("url")
    @classmethod
    def _complete(cls, url: SecretStr) -> SecretStr:
        try:
            found = urlsplit(url.get_secret_value())
            whole = found.scheme in ("https", "http") and bool(found.hostname) and found.port != 0
        except ValueError:
            whole = False
        plain = url.get_secret_value().isascii() and url.get_secret_value().isprintable()
        if not whole or not plain or " " in url.get_secret_value() or "@" in found.netloc:
            raise ValueError("write a whole address, such as https://example.org/hooks/1")
        return url

    @property
    def host(self) -> str:
        """The host, which people may see."""
        return urlsplit(self.url.get_secret_value()).hostname or ""

    def stored(self) -> Mapping[str, str]:
        """As the vault keeps it."""
        return {"url": self.url.get_secret_value()}


class Webhook(_ByHttp):
    """An address of a program's; messages are signed by a secret that we make."""

    kind: Literal["webhook"]


class Slack(_ByHttp):
    """An incoming webhook of Slack, or of what is compatible with it, such as Mattermost."""

    kind: Literal["slack"]


class Email(_Target):
    """Mail, handed in to a server."""

    kind: Literal["email"]
    host: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9.:-]+$", examples=["smtp.example.org"])]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Annotated[Literal["starttls", "tls", "none"], Field(description="none only for a private host.")] = (
        "starttls"
    )
    username: Annotated[str, Field(max_length=254, pattern=r"^[^\x00-\x1f]*$")] = ""
    password: Annotated[SecretStr, Field(max_length=1000)] = SecretStr("")
    sender: Annotated[Mailbox, Field(examples=["vivesphere@example.org"])]
    recipients: Annotated[list[Mailbox], Field(min_length=1, max_length=20, examples=[["ops@example.org"]])]

    def stored(self) -> Mapping[str, str]:
        """As the vault keeps it."""
        return {
            "host": self.host,
            "port": str(self.port),
            "security": self.security,
            "username": self.username,
            "password": self.password.get_secret_value(),
            "sender": self.sender,
            "recipients": ",".join(self.recipients),
        }


class NewChannel(_Target):
    """Where operators are to be told, and of what; `about` empty is everything."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$", examples=["on-call"])]
    about: Annotated[list[About], Field(max_length=20, examples=[["post_late", "part_down"]])] = []
    target: Annotated[Webhook | Slack | Email, Field(discriminator="kind")]


def wants(about: Collection[str], alarm: Alarm) -> bool:
    """Whether a channel for these kinds is told of an alarm."""
    return not about or alarm.about in about


def channel_path(name: str) -> str:
    """Where a channel's address and secret lie in the KV engine."""
    return f"notifications/{name}"


def pause(tries: int, first: timedelta) -> timedelta:
    """How long to wait after so many tries, before the next."""
    # It has reached its end long before this.
    return min(first * (1 << min(tries - 1, 12)), PAUSE_MOST)


def webhook_body(delivery_id: UUID, alarm: Alarm, at: datetime) -> bytes:
    """For programs; a message that is sent again has the same id."""
    return json.dumps(
        {"id": str(delivery_id), "at": at.isoformat(), **asdict(alarm)}, ensure_ascii=False, sort_keys=True
    ).encode()


def slack_body(alarm: Alarm) -> bytes:
    """As Slack and what is compatible with it takes it; what people wrote is no markup."""
    text = "\n".join((f"*{_escaped(alarm.title)}*", *map(_escaped, _lines(alarm))))
    return json.dumps({"text": text}, ensure_ascii=False).encode()


def email_parts(alarm: Alarm) -> tuple[str, str]:
    """Subject and text."""
    return _plain(f"[vivesphere] {alarm.title}"), "\n".join((alarm.title, "", *_lines(alarm))) + "\n"


def _lines(alarm: Alarm) -> list[str]:
    found = [_plain(line) for line in alarm.lines]
    return [*found, *([f"-> {alarm.do}"] if alarm.do else []), *([alarm.link] if alarm.link else [])]


def _plain(line: str) -> str:
    """One line without control characters, which a reader's program might obey."""
    cleaned = "".join(character if character.isprintable() else " " for character in line)
    return cleaned if len(cleaned) <= LINE_CHARACTERS_MAX else cleaned[: LINE_CHARACTERS_MAX - 1] + "…"


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_stored(alarm: Alarm) -> Mapping[str, Any]:
    """An alarm as JSON has it."""
    return asdict(alarm)


def from_stored(stored: Mapping[str, Any]) -> Alarm:
    """What `as_stored` was given."""
    return Alarm(**{**stored, "lines": tuple(stored["lines"])})
