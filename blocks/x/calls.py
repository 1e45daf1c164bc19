"""Sends one request to X and tells what is known of it: an answer, or an error of `blocks.x.errors`."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from pydantic import SecretStr

from blocks.x.errors import NoAnswer, NotSent, XError, cause_of, scrub
from blocks.x.lanes import Lanes
from blocks.x.signing import Authorization, Basic

Latch = Callable[[], None]

_USER_AGENT = "vivesphere-bot-manager"
# What a header may carry. httpcore would complain as well, but after the latch, and with the value in its words.
_HEADER_VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it is meant. `repeatable`: asking again changes nothing more.

    A SecretStr as `authorization` is a bearer token. `form` is sent urlencoded, else `content` as it is.
    """

    method: str
    url: httpx.URL
    repeatable: bool
    authorization: Authorization | Basic | None = None
    content: bytes | None = None
    content_type: str = "application/json"
    form: Mapping[str, str | SecretStr] | None = None
    traceparent: str | None = None

    def request(self, trace: Any, connect_timeout_seconds: float) -> httpx.Request:
        """The request to hand to a transport; raises ValueError for what cannot stand in a header."""
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": _USER_AGENT}
        content = self.content
        form = None if self.form is None else {name: _revealed(value) for name, value in self.form.items()}
        if isinstance(self.authorization, SecretStr):
            headers["authorization"] = f"Bearer {self.authorization.get_secret_value()}"
        elif self.authorization is not None:
            headers["authorization"] = self.authorization.header(self.method, self.url, form)
        if self.traceparent is not None:
            headers["traceparent"] = self.traceparent
        if form is not None:
            content = urlencode(form).encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
        elif content is not None:
            headers["content-type"] = self.content_type
        if not all(_HEADER_VALUE.fullmatch(value) for value in headers.values()):
            raise ValueError("a header value has characters that no header can carry")
        return httpx.Request(
            self.method,
            self.url,
            headers=headers,
            content=content,
            extensions={"trace": trace, "timeout": {"connect": connect_timeout_seconds}},
        )

    def hidden(self) -> tuple[str, ...]:
        """Every text that no error may repeat, longest first."""
        texts = {value.get_secret_value() for value in (self.form or {}).values() if isinstance(value, SecretStr)}
        if isinstance(self.authorization, SecretStr):
            texts.add(self.authorization.get_secret_value())
        elif self.authorization is not None:
            texts.update(self.authorization.hidden())
        texts |= {quote(text, safe="") for text in texts}
        return tuple(sorted(filter(None, texts), key=len, reverse=True))


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, whatever its status. The body may carry credentials and is not shown."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    first_byte_at: datetime


class Caller:
    """One address of X, the lanes to it and the time a whole request may take."""

    def __init__(self, base_url: str, lanes: Lanes, *, connect_timeout_seconds: float, deadline_seconds: float) -> None:
        self._base_url = base_url.rstrip("/")
        self.lanes = lanes
        self._connect_timeout_seconds = connect_timeout_seconds
        self._deadline_seconds = deadline_seconds

    def url(self, path: str, params: Mapping[str, str] | None = None) -> httpx.URL:
        """`path` under the base address."""
        return httpx.URL(self._base_url + path, params=params) if params else httpx.URL(self._base_url + path)

    async def call(self, call: Call, *, latch: Latch | None = None, deadline_seconds: float | None = None) -> Reply:
        """Send, and read the answer to its end; raises NotSent or NoAnswer.

        The deadline spans all of it, the wait for a lane included. A cancelled call raises CancelledError: then
        the latch knows whether it was sent.
        """
        departure = _Departure(latch)
        try:
            async with asyncio.timeout(self._deadline_seconds if deadline_seconds is None else deadline_seconds):
                answer = await self.lanes.handle_async_request(
                    call.request(departure.trace, self._connect_timeout_seconds)
                )
            if departure.first_byte_at is not None:
                return Reply(answer.status_code, answer.headers, answer.content, departure.first_byte_at)
            failure: XError = NoAnswer("the transport sent without asking the latch", problem="unexpected")
        except Exception as error:
            failure = departure.failure(error, call)
        # Outside of `except`: no lower exception hangs on this one, and none can show what a header held.
        raise failure


class _Departure:
    """The instant at which a request leaves: from the event on, what X did with it is not ours to know."""

    def __init__(self, latch: Latch | None) -> None:
        self._latch = latch
        self._objection: Exception | None = None
        self._status: int | None = None
        self.first_byte_at: datetime | None = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore's hook; awaited between "the connection stands" and the first write."""
        if event == "http11.send_request_headers.started":
            try:
                if self._latch is not None:
                    self._latch()
            except Exception as objection:
                # Not raised as it is: httpcore swallows write errors, and a latch may raise anything.
                self._objection = objection
                raise _Objected from None
            self.first_byte_at = datetime.now(UTC)
        elif event == "http11.receive_response_headers.complete":
            self._status = info["return_value"][1]

    def failure(self, error: Exception, call: Call) -> XError:
        """What is known once `error` ended the request."""
        if self._objection is not None:
            return NotSent(scrub(str(self._objection), call.hidden()) or "the latch is shut", problem="latch")
        cause = cause_of(error)
        if self.first_byte_at is None:
            return NotSent(
                "no connection was had, or nothing was written on it",
                problem=cause,
                retryable=cause != "request-malformed",
            )
        return NoAnswer(
            "the request left, and no whole answer came back",
            problem=cause,
            status=self._status,
            first_byte_at=self.first_byte_at,
            retryable=call.repeatable,
        )


class _Objected(Exception):
    """The latch is shut."""


def _revealed(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
