"""Telling operators: written down first, then sent, tried again where that helps; the same trouble not every minute."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from blocks.notifications import email, webhook
from blocks.notifications.email import Mail, MailServer
from blocks.notifications.errors import ChannelError
from blocks.vault.errors import Missing, VaultError
from tasks.connections import Connections
from tasks.domain.alarms import Alarm
from tasks.domain.notifications import (
    Kind,
    as_stored,
    channel_path,
    email_parts,
    from_stored,
    pause,
    slack_body,
    wants,
    webhook_body,
)
from tasks.operations import channels
from tasks.store import notifications
from tasks.store.notifications import ChannelRow, DeliveryRow

AT_ONCE = 20


@dataclass(frozen=True)
class Message:
    """What goes out on a channel, once or again."""

    id: UUID
    channel: str
    kind: Kind
    alarm: Alarm
    at: datetime


async def untold(at: Connections, alarms: Sequence[Alarm]) -> list[tuple[ChannelRow, Alarm]]:
    """Which alarms are still to be told, and where."""
    async with at.transaction() as session:
        return await _untold(session, alarms, _repeat(at), None)


async def tell(at: Connections, alarms: Sequence[Alarm], only: str | None = None) -> list[DeliveryRow]:
    """Tell what was not told lately, on every channel that wants it or on one; answers how each message ended.

    What another run left over is told as well.
    """
    async with at.transaction() as session:
        await notifications.one_teller(session)
        wanted = await _untold(session, alarms, _repeat(at), only)
        ids = await notifications.add_deliveries(
            session, [(channel.id, alarm.about, alarm.key, as_stored(alarm)) for channel, alarm in wanted]
        )
    await _deliver(at, ids)
    async with at.transaction() as session:
        # Never what still keeps the same trouble from being told again.
        kept = max(timedelta(days=at.places.settings.notifications.kept_days), _repeat(at))
        await notifications.forget(session, kept)
        return list(await notifications.page(session, None, len(ids), ids))


async def tell_without_the_database(at: Connections, alarm: Alarm) -> list[str]:
    """Try each channel once, by what the vault holds alone; answers why those that failed did."""
    problems = []
    for name, kind, about in await channels.names_in_the_vault(at):
        if wants(about, alarm):
            problem = await _send(at, Message(uuid4(), name, kind, alarm, datetime.now(UTC)))
            if problem is not None:
                problems.append(f"{name}: {problem.said}")
    return problems


async def page(at: Connections, after: UUID | None, limit: int) -> Sequence[DeliveryRow]:
    """What was told, the latest first."""
    async with at.transaction() as session:
        return await notifications.page(session, after, limit)


async def _untold(
    session: AsyncSession, alarms: Sequence[Alarm], repeat: timedelta, only: str | None
) -> list[tuple[ChannelRow, Alarm]]:
    told = await notifications.told_lately(session, repeat)
    return [
        (channel, alarm)
        for channel in await notifications.list_channels(session)
        if only in (None, channel.name)
        for alarm in {alarm.key: alarm for alarm in alarms}.values()
        if (only is not None or wants(channel.about, alarm)) and (channel.id, alarm.key) not in told
    ]


def _repeat(at: Connections) -> timedelta:
    return timedelta(seconds=at.places.settings.notifications.repeat_seconds)


async def _deliver(at: Connections, ids: Sequence[UUID]) -> None:
    """Try everything that is due until each of `ids` has ended."""
    settings = at.places.settings.notifications
    lease = timedelta(seconds=2 * settings.answer_seconds + 30)
    while True:
        async with at.transaction() as session:
            held = await notifications.take(session, lease, AT_ONCE)
        await asyncio.gather(*(_try(at, row) for row in held))
        async with at.transaction() as session:
            if not held and not await notifications.pending(session, ids):
                return
        if not held:
            await asyncio.sleep(settings.retry_seconds / 4)


async def _try(at: Connections, row: DeliveryRow) -> None:
    settings = at.places.settings.notifications
    message = Message(row.id, row.channel, row.kind, from_stored(row.alarm), row.created_at)
    problem = await _send(at, message)
    async with at.transaction() as session:
        if problem is None:
            await notifications.end(session, row.id, "sent", None)
        elif problem.again and row.tries < settings.attempts_max:
            wait = pause(row.tries, timedelta(seconds=settings.retry_seconds))
            await notifications.try_again(session, row.id, wait, problem.said)
        else:
            await notifications.end(session, row.id, "failed", problem.said)


@dataclass(frozen=True)
class Problem:
    """Why a message did not arrive, and whether it may yet."""

    said: str
    again: bool


async def _send(at: Connections, message: Message) -> Problem | None:
    """Read address and secret, and send once; neither of them is in what is answered."""
    try:
        secret = (await asyncio.to_thread(at.kv.read, channel_path(message.channel))).data
    except Missing:
        return Problem("the vault does not hold its address: remove the channel and add it again", again=False)
    except VaultError as error:
        return Problem(f"the vault did not give its address ({type(error).__name__})", again=True)
    try:
        await _sent(at, message, secret)
    except ChannelError as error:
        return Problem(str(error), error.retryable)
    return None


async def _sent(at: Connections, message: Message, secret: Mapping[str, str]) -> None:
    way = channels.way(at.places.settings.notifications)
    match message.kind:
        case "webhook":
            body = webhook_body(message.id, message.alarm, message.at)
            # By the machine's clock, which the receiver compares with its own.
            headers = webhook.signed_headers(secret["secret"], message.id, int(time.time()), body)
            await webhook.post(secret["url"], body, headers, way)
        case "slack":
            await webhook.post(secret["url"], slack_body(message.alarm), {}, way)
        case "email":
            server = MailServer(
                secret["host"],
                int(secret["port"]),
                secret["security"],  # type: ignore[arg-type]  # one of these was stored
                secret["username"],
                secret["password"],
            )
            subject, text = email_parts(message.alarm)
            recipients = secret["recipients"].split(",")
            await email.send(server, Mail(secret["sender"], recipients, subject, text, message.id, message.at), way)
