"""Channels by which operators are told: address and secret go to the vault, and are never shown again."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import IntegrityError

from blocks.notifications import email, webhook
from blocks.notifications.email import MailServer
from blocks.notifications.errors import NotAllowed
from blocks.notifications.way import Way
from blocks.vault.errors import Missing
from config.loading import APP_ROOT
from config.settings import Notifications
from tasks.connections import Connections
from tasks.domain.notifications import NAMES, Email, Kind, NewChannel, Webhook, channel_path
from tasks.domain.roles import Actor
from tasks.operations import activity, runs
from tasks.operations.runs import Started
from tasks.store import notifications
from tasks.store.notifications import ChannelRow

ON_ALARM = "notify-operators/on-alarm"


class NoSuchChannelError(LookupError):
    """There is no channel of this name."""


class ChannelTakenError(ValueError):
    """There is a channel of this name already."""


class ChannelRefusedError(ValueError):
    """The address is not one that we would go to."""


@dataclass(frozen=True)
class Added:
    """A new channel; `signing_secret` is shown once, to be given to the receiver."""

    channel: ChannelRow
    signing_secret: str | None = field(repr=False)


def way(settings: Notifications) -> Way:
    """How messages go out, by the settings."""
    hosts = frozenset(host.strip().lower() for host in settings.private_hosts.split(",") if host.strip())
    ca_file = APP_ROOT / settings.ca_file if settings.ca_file else None
    return Way(hosts, settings.answer_seconds, ca_file)


async def add(at: Connections, wanted: NewChannel, actor: Actor) -> Added:
    """Put one in; raises ChannelTakenError and ChannelRefusedError."""
    target = wanted.target
    _judge(wanted, way(at.places.settings.notifications))
    secret = webhook.new_secret() if isinstance(target, Webhook) else None
    async with at.transaction() as session:
        if await notifications.find_channel(session, wanted.name):
            raise ChannelTakenError(f"there is a channel {wanted.name} already: remove it first")
    path = channel_path(wanted.name)
    data = {**target.stored(), **({"secret": secret} if secret else {})}
    # By the version that is there: of two who add the same name at once, one is refused before its row is written.
    await asyncio.to_thread(at.kv.write, path, data, await asyncio.to_thread(_version, at, path))
    try:
        async with at.transaction() as session:
            await notifications.add_channel(session, wanted.name, target.kind, target.host, wanted.about, actor.name)
            channel = await notifications.find_channel(session, wanted.name)
            told = {"kind": target.kind, "host": target.host, "about": ", ".join(wanted.about) or "everything"}
            await activity.note(session, actor, "notifications.add", wanted.name, "security", after=told)
    except IntegrityError:
        raise ChannelTakenError(f"there is a channel {wanted.name} already: remove it first") from None
    await _keep_names(at)
    if channel is None:
        raise NoSuchChannelError(wanted.name)
    return Added(channel, secret)


async def list_all(at: Connections) -> Sequence[ChannelRow]:
    """Channels in use."""
    async with at.transaction() as session:
        return await notifications.list_channels(session)


async def remove(at: Connections, name: str, actor: Actor) -> None:
    """Take one out of use, its address and secret first; raises NoSuchChannelError."""
    async with at.transaction() as session:
        if await notifications.find_channel(session, name) is None:
            raise NoSuchChannelError(name)
    await asyncio.to_thread(at.kv.delete, channel_path(name))
    async with at.transaction() as session:
        if await notifications.remove_channel(session, name):
            await activity.note(session, actor, "notifications.remove", name, "security")
    await _keep_names(at)


async def test(at: Connections, name: str, actor: Actor) -> Started:
    """Start a run that sends a word of no consequence; raises NoSuchChannelError."""
    async with at.transaction() as session:
        if await notifications.find_channel(session, name) is None:
            raise NoSuchChannelError(name)
    return await runs.start(at, ON_ALARM, {"channel": name}, actor)


async def names_in_the_vault(at: Connections) -> Sequence[tuple[str, Kind, Sequence[str]]]:
    """Name, kind and wishes of each channel, as they stood when one was last added or removed."""
    try:
        found = await asyncio.to_thread(at.kv.read, channel_path(NAMES))
    except Missing:
        return []
    return [(name, kind, about) for name, kind, about in json.loads(found.data["channels"])]


async def _keep_names(at: Connections) -> None:
    """Which channels there are is asked of Postgres; an alarm about Postgres needs another place."""
    known = [(row.name, row.kind, list(row.about)) for row in await list_all(at)]
    await asyncio.to_thread(at.kv.write, channel_path(NAMES), {"channels": json.dumps(known)}, None)


def _version(at: Connections, path: str) -> int:
    try:
        return at.kv.metadata(path).version
    except Missing:
        return 0


def _judge(wanted: NewChannel, way: Way) -> None:
    target = wanted.target
    try:
        if isinstance(target, Email):
            email.judge(MailServer(target.host, target.port, target.security), way)
        else:
            webhook.judge(target.url.get_secret_value(), way)
    except NotAllowed as error:
        raise ChannelRefusedError(str(error)) from None
