"""Uncertain posts over the API."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front, without_rights
from tests.makers import stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def held(front: Front, sessions: Sessions) -> list[UUID]:
    """Two posts that are held and in doubt, each of a bot of its own; the second bot has the label transit."""
    async with sessions.begin() as session:
        bots = await stored_bots(session, 2)
        ids = [(await stored_posts(session, bot, text=f"Said by {bot}"))[0] for bot in bots]
        await session.execute(text("UPDATE bots SET labels = '{transit}' WHERE handle = 'bot_1'"))
        await session.execute(
            text(
                "WITH gone AS (INSERT INTO senders (host, boot_id, pid_namespace, pid, start_ticks, died_at)"
                " VALUES ('gone', 'gone', 1, 1, 1, app_now() - interval '1 hour') RETURNING id)"
                " INSERT INTO publish_attempts (post_id, bot_id, revision, sender_id, lease_epoch, fingerprint,"
                " start_by, give_up_at, ended, ended_at, settled_by) SELECT posts.id, bot_id, 1, gone.id, 1,"
                " sha256(text::bytea), app_now(), app_now(), 'unknown', app_now(), 'sweeper' FROM posts, gone"
            )
        )
        await session.execute(text("UPDATE posts SET status = 'held', reason = '2 posts on X could be it'"))
    return ids


async def test_held_posts_are_listed_with_their_reason_and_where_to_look(front: Front, held: list[UUID]) -> None:
    found = (await front.call("GET", "/posts/uncertain")).json()
    assert {one["id"] for one in found} == {str(post) for post in held}
    assert {one["reason"] for one in found} == {"2 posts on X could be it"}
    assert all(one["look_at"] for one in found)
    of_one = (await front.call("GET", "/posts/uncertain", params={"label": "transit"})).json()
    assert [one["id"] for one in of_one] == [str(held[1])]


async def test_each_resolution_has_its_answer_and_stands_in_the_audit(
    front: Front, held: list[UUID], sessions: Sessions
) -> None:
    body = {
        "resolutions": [
            {"post_id": str(held[0]), "choice": "published", "url": "https://x.com/bot_0/status/1790000000000000000"},
            {"post_id": str(held[1]), "choice": "published", "url": "1790000000000000000"},
            {"post_id": str(held[1]), "choice": "requeue"},
        ],
        "reason": "seen on X",
    }
    answer = await front.call("POST", "/posts/resolve", json=body)
    assert [(one["result"], one["status"]) for one in answer.json()] == [
        ("resolved", "published"),
        ("refused", None),
        ("resolved", "scheduled"),
    ]
    assert "another post of ours" in answer.json()[1]["said"]
    async with sessions.begin() as session:
        found = await session.execute(
            text("SELECT actor, details FROM audit_log WHERE action = 'posts.resolve' ORDER BY id")
        )
        noted = [(row.actor, row.details["choice"]) for row in found]
    assert noted == [("admin/cli", "published"), ("admin/cli", "requeue")]
    assert (await front.call("GET", "/posts/uncertain")).json() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolutions": [], "reason": "x"},
        {"resolutions": [{"post_id": "00000000-0000-7000-8000-000000000000", "choice": "requeue"}], "reason": ""},
        {"resolutions": [{"post_id": "00000000-0000-7000-8000-000000000000", "choice": "published"}], "reason": "x"},
    ],
)
async def test_a_resolution_without_what_it_needs_is_refused(front: Front, wrong: object) -> None:
    assert (await front.call("POST", "/posts/resolve", json=wrong)).status_code == 422


async def test_nobody_settles_posts_without_the_right(front: Front, held: list[UUID], sessions: Sessions) -> None:
    await without_rights(front, sessions)
    body = {"resolutions": [{"post_id": str(held[0]), "choice": "discard"}], "reason": "x"}
    assert (await front.call("POST", "/posts/resolve", json=body)).status_code == 403
