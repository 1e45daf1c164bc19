"""Messages by HTTP: signed for programs, as Standard Webhooks has it, or as Slack takes them."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from uuid import UUID

import httpcore

from blocks.notifications.errors import EXPECTED, Busy, NotAllowed, Refused, translate
from blocks.notifications.way import Way
from blocks.tls import tls_context
from blocks.web import TLS_PORT, Network

# How such secrets begin.
SECRET_PREFIX = "whsec_"  # noqa: S105  # pragma: allowlist secret  # nosec B105
USER_AGENT = "ViveSphere-Bot-Manager"


def new_secret() -> str:
    """A secret by which a receiver knows our messages."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, delivery_id: UUID, sent_at: int, body: bytes) -> str:
    """The value of `webhook-signature`; see standardwebhooks.com."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{delivery_id}.{sent_at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(secret: str, delivery_id: UUID, sent_at: int, body: bytes) -> dict[str, str]:
    """By these a receiver knows who sent it, when, and whether it has it already."""
    return {
        "webhook-id": str(delivery_id),
        "webhook-timestamp": str(sent_at),
        "webhook-signature": signature(secret, delivery_id, sent_at, body),
    }


def judge(url: str, way: Way) -> httpcore.URL:
    """The address, if it is one that we would go to; raises NotAllowed."""
    target = httpcore.URL(url)
    if target.scheme != b"https" and not way.allows(target.host.decode(), target.port or 80):
        raise NotAllowed("an address without https has to have its host named in notifications.private_hosts")
    return target


async def post(url: str, body: bytes, headers: Mapping[str, str], way: Way) -> None:
    """Send one message; redirects are not followed and nothing of the answer but its status is read.

    Raises ChannelError.
    """
    target = judge(url, way)
    host = target.host.decode()
    told = {
        "Host": host if target.port is None else f"{host}:{target.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": USER_AGENT,
        **headers,
    }
    try:
        async with (
            asyncio.timeout(way.seconds),
            httpcore.AsyncConnectionPool(
                tls_context(way.ca_file), network_backend=Network(way.reach((TLS_PORT,)))
            ) as pool,
            pool.stream("POST", target, headers=list(told.items()), content=body) as answer,
        ):
            status = answer.status
    except EXPECTED as error:
        raise translate(error) from None
    if 200 <= status < 300:
        return
    said = f"the receiver answered {status}"
    raise Busy(said) if status == 429 or status >= 500 else Refused(said)
