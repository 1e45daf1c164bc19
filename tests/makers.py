"""Things with every field filled in, so that a test names only what it is about."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.personas import Bot, LabelConfirmation, Persona
from tasks.domain.policy.finding import Account
from tasks.domain.policy.gate import Verdict
from tasks.domain.posts import Draft, fingerprint
from tasks.operations.gate import read as read_policy
from tasks.store import attempts, base, bots, metrics, personas, posts, trends, verdicts, x_apps
from tasks.store.access import users
from tasks.store.attempts import Marked, Room, Sending
from tasks.store.claims import ClaimedPost

POLICY_VERSION = read_policy().version
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def a_persona(**given: Any) -> Persona:
    """A persona."""
    return Persona(
        **{"name": "Weather desk", "tone": "plain", "interests": ("weather",), "languages": ("en",), **given}
    )


def a_bot(handle: str = "city_weather", **given: Any) -> Bot:
    """A disclosed bot, as its file would say."""
    return Bot(
        **{
            "handle": handle,
            "display_name": "City weather",
            "description": "Automated by @vive_ops",
            "operator_handle": "vive_ops",
            "time_zone": "Europe/Vienna",
            "automation_label": LabelConfirmation(by="ops@example.org", confirmed_on=date(2026, 11, 1)),
            "persona": a_persona(),
            **given,
        }
    )


def an_account(**given: Any) -> Account:
    """A disclosed account, as the gate sees it."""
    return Account(
        **{
            "handle": "city_weather",
            "operator_handle": "vive_ops",
            "label_confirmed": True,
            "bio_names_operator": True,
            **given,
        }
    )


def a_draft(**given: Any) -> Draft:
    """A draft with a text of its own."""
    return Draft(**{"bot": "city_weather", "text": f"Sunny, {secrets.token_hex(8)}", "due_at": NOON, **given})


async def stored_bots(session: AsyncSession, count: int = 1, **given: Any) -> list[UUID]:
    """Active, disclosed bots bot_0, bot_1, ... in the database."""
    owner = (
        await session.execute(
            insert(users).values(username=f"owner-{secrets.token_hex(4)}", password_hash="-").returning(users.c.id)  # noqa: S106
        )
    ).scalar_one()
    persona = (await personas.put(session, [a_persona()]))["Weather desk"]
    rows = [
        {
            "owner_id": owner,
            "handle": f"bot_{number}",
            "display_name": f"Bot {number}",
            "description": "Automated by @vive_ops",
            "x_user_id": str(1000 + number),
            "persona_id": persona,
            "state": "active",
            "time_zone": "UTC",
            "posts_per_day_max": 1000,
            "operator_handle": "vive_ops",
            "label_confirmed_at": NOON,
            "label_confirmed_by": "ops@example.org",
            "bio_checked_at": NOON,
            "bio_names_operator": True,
            **given,
        }
        for number in range(count)
    ]
    found = await session.execute(insert(bots.bots).returning(bots.bots.c.id), rows)
    return [row.id for row in found]


async def stored_posts(
    session: AsyncSession, bot_id: UUID, count: int = 1, due_in_seconds: float = 0, judged: bool = True, **given: Any
) -> list[UUID]:
    """Scheduled posts of one bot, each allowed by the gate."""
    from tasks.store.base import now

    due_at = await now(session) + timedelta(seconds=due_in_seconds)
    ids = await posts.new_ids(session, count)
    drafts = {post_id: (a_draft(**{"due_at": due_at, **given}), bot_id) for post_id in ids}
    await posts.add(session, drafts, source="api", created_by="tests")
    if judged:
        await verdicts.add(session, {(post_id, 1): Verdict((), POLICY_VERSION) for post_id in ids})
    return list(ids)


A_ROOM = Room(
    bot_most=100,
    bot_span=timedelta(minutes=15, seconds=35),
    bot_words="X takes 100 of a bot in 15 minutes",
    app_most=10_000,
    app_span=timedelta(hours=24, seconds=95),
    app_words="X takes 10000 of an app in 24 hours",
    money_share=Decimal("0.95"),
)


async def marked(
    session: AsyncSession,
    sender: UUID,
    claimed: Sequence[ClaimedPost],
    *,
    give_up_seconds: float = 35,
    kind: str = "post",
    price_usd: str = "0.015",
    day: tuple[datetime, datetime] = (NOON.replace(year=2000), NOON.replace(year=2100)),
    **room: Any,
) -> Marked:
    """What the mark says to claimed posts, with room enough unless said otherwise."""
    sending = [
        Sending(post, fingerprint(post.text), NOON.replace(year=2100), kind, Decimal(price_usd), day)
        for post in claimed
    ]
    return await attempts.mark(
        session,
        sender,
        sending,
        replace(A_ROOM, **room),
        policy_version=POLICY_VERSION,
        start_within=timedelta(seconds=2),
        give_up_within=timedelta(seconds=give_up_seconds),
        waits=timedelta(seconds=5),
        lock_timeout_ms=500,
    )


async def stored_app(session: AsyncSession, **given: Any) -> UUID:
    """An app on X's developer platform in the database, in development."""
    name = f"app {secrets.token_hex(4)}"
    values = {"name": name, "use_case": name, "stage": "development", "client_id": "c", "redirect_uri": "http://x/"}
    found: UUID = (
        await session.execute(insert(x_apps.x_apps).values(**{**values, **given}).returning(x_apps.x_apps.c.id))
    ).scalar_one()
    return found


async def stored_trends(session: AsyncSession, *names: str, rising: Sequence[str] = ()) -> None:
    """Names on the list of one source an hour ago and now, as scored now; those of `rising` rise."""
    await trends.want(session, "rss", [("news_feed", "https://example.org/news")])
    [source] = await trends.take_due(session, "rss", timedelta(minutes=5))
    now = await base.now(session)
    await metrics.make_months(session, (now - timedelta(days=1)).date(), now.date())
    rows = [
        trends.Row(trends.Name(name.casefold(), name.casefold(), name, "story", "en"), rank, 1000 * rank)
        for rank, name in enumerate(names, 1)
    ]
    for at in (now - timedelta(hours=1), now):
        await trends.add(session, [trends.Reading(source.id, at, at, rows)])
    await trends.note_good(session, source.id, now, len(rows), now + timedelta(minutes=15))
    ids = await trends.name_ids(session, {row.name: (now, now) for row in rows})
    why = {"name": "burst", "points": 5.5, "said": "place 1, not listed the day before"}
    scores = [
        trends.Score(
            name.casefold(),
            ids[name.casefold()],
            5.5 if name in rising else 0.0,
            [why] if name in rising else [],
            ["news_feed:https://example.org/news"],
            name in rising,
        )
        for name in names
    ]
    await trends.write_scores(session, scores, now, timedelta(hours=6))
