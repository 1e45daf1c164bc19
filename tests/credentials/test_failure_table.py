"""Every row of the failure table, really caused; X's ledger says how often it was asked."""

import asyncio
from base64 import b64encode
from datetime import timedelta

import pytest
from sqlalchemy import text

from config.places import Places
from tasks.domain.credentials import access_path, refresh_path
from tasks.operations.rotation import x_user_tokens
from tasks.store import base
from tests.credentials.fleet import Fleet

pytestmark = pytest.mark.promise("C3")

TOKEN = "POST /2/oauth2/token"  # noqa: S105
NEARLY_ENDED = timedelta(hours=1, minutes=51)
ENDED = timedelta(minutes=10)


def near_the_end(fleet: Fleet) -> None:
    """Every token is due, and serves on for nine minutes."""
    fleet.pass_time(seconds=NEARLY_ENDED.total_seconds())


def after_the_end(fleet: Fleet) -> None:
    """The tokens that were near their end have ended, and X has decided whatever it was asked."""
    fleet.pass_time(seconds=ENDED.total_seconds())


async def test_a_token_that_is_not_due_is_given_as_it_is(fleet: Fleet) -> None:
    await fleet.with_bots()
    found = await fleet.fresh()
    assert (found.state, fleet.calls(), fleet.attempts()) == ("fresh", {}, [])
    assert found.token is not None


async def test_a_token_that_is_due_is_refreshed_once_and_serves_two_more_hours(fleet: Fleet) -> None:
    [bot] = await fleet.with_bots()
    near_the_end(fleet)
    found = await fleet.fresh()
    again = await fleet.fresh()
    assert (found.state, again.state) == ("refreshed", "fresh")
    assert found.token == again.token
    assert (fleet.calls(), fleet.attempts(), fleet.escrows()) == ({"granted": 1}, ["granted"], 0)
    async with fleet.at.transaction() as session:
        now = await base.now(session)
    assert again.token is not None
    assert timedelta(hours=1, minutes=59) < again.token.expires_at - now <= timedelta(hours=2)
    labels = fleet.rows("SELECT kind, version, lease_until FROM credentials WHERE bot_id = %s ORDER BY kind", bot)
    assert [(row["kind"], row["version"]) for row in labels] == [("x_user_access", 2), ("x_user_refresh", 2)]
    assert {row["lease_until"] for row in labels} == {None}
    assert fleet.bao.kv("keys").read(refresh_path(bot)).version == 2
    after_the_end(fleet)
    assert await fleet.works()


async def test_a_request_that_never_left_is_simply_made_again(fleet: Fleet) -> None:
    await fleet.with_bots()
    near_the_end(fleet)
    fleet.x.stop()
    found = await fleet.fresh()
    fleet.x.start()
    assert (found.state, found.token is not None) == ("waiting", True)
    assert (await fleet.fresh()).state == "refreshed"
    assert (fleet.attempts(), fleet.calls()) == (["not_sent", "granted"], {"granted": 1})


@pytest.mark.parametrize(
    ("fault", "ended"),
    [
        ({"fault": "problem", "problem": "too-many-requests"}, "declined"),
        ({"fault": "problem", "problem": "unauthorized"}, "declined"),
        ({"fault": "error", "when": "before"}, "unknown"),
    ],
)
async def test_what_x_declines_has_not_spent_the_token(fleet: Fleet, fault: dict[str, str], ended: str) -> None:
    await fleet.with_bots()
    near_the_end(fleet)
    fleet.x.fault(**fault, endpoint=TOKEN, count=1)
    found = await fleet.fresh()
    assert (found.state, found.token is not None) == ("waiting", True)
    assert fleet.attempts() == [ended]
    after_the_end(fleet)
    assert (await fleet.fresh()).state == "refreshed"
    assert fleet.calls() == {"granted": 1}


@pytest.mark.parametrize("fault", ["drop", "error", "reset", "truncate", "html"])
async def test_a_lost_answer_waits_for_the_end_of_the_access_token_and_is_asked_for_once_more(
    fleet: Fleet, fault: str
) -> None:
    await fleet.with_bots()
    near_the_end(fleet)
    fleet.x.fault(fault, when="after", endpoint=TOKEN, count=1)
    first = await fleet.fresh()
    second = await fleet.fresh()
    assert (first.state, second.state) == ("waiting", "waiting")
    assert await fleet.works()
    assert fleet.calls() == {"granted": 1}
    after_the_end(fleet)
    third = await fleet.fresh()
    assert (third.state, fleet.state()) == ("needs_login", "needs_login")
    assert fleet.calls() == {"granted": 1, "family_killed": 1}
    assert (await fleet.fresh()).state == "needs_login"
    assert fleet.calls() == {"granted": 1, "family_killed": 1}


async def test_where_the_setting_says_so_nothing_is_replayed(fleet: Fleet) -> None:
    settings = fleet.world.places.settings
    never = settings.credentials.model_copy(update={"refresh_unknown": "needs_login"})
    fleet.at.places = Places(settings.model_copy(update={"credentials": never}))
    await fleet.with_bots()
    near_the_end(fleet)
    fleet.x.fault("error", when="before", endpoint=TOKEN, count=1)
    await fleet.fresh()
    after_the_end(fleet)
    assert (await fleet.fresh()).state == "needs_login"
    assert fleet.calls() == {}


async def test_a_dead_family_asks_for_a_login_and_after_it_all_is_well(fleet: Fleet) -> None:
    [bot] = await fleet.with_bots()
    near_the_end(fleet)
    spent = fleet.bao.kv("keys").read(refresh_path(bot)).data["refresh_token"]
    app = fleet.x.app()
    for _ in range(2):
        await asyncio.to_thread(
            lambda: fleet.x.control.post(
                f"{fleet.x.url}/2/oauth2/token",
                data={"grant_type": "refresh_token", "refresh_token": spent},
                headers={"Authorization": "Basic " + basic(app["client_id"], app["client_secret"])},
            )
        )
    assert (await fleet.fresh()).state == "needs_login"
    assert (fleet.state(), fleet.attempts()) == ("needs_login", ["refused"])
    await fleet.sign_in(0)
    assert (await fleet.fresh()).state == "fresh"
    assert await fleet.works()


def basic(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


async def test_a_sign_in_while_x_answers_counts_and_what_the_refresh_got_is_set_aside(fleet: Fleet) -> None:
    [bot] = await fleet.with_bots()
    near_the_end(fleet)
    fleet.x.fault("delay", when="after", endpoint=TOKEN, count=1, milliseconds=600)
    refresh = asyncio.create_task(fleet.fresh())
    await fleet.x.ledger_holds("token", 2)
    await fleet.sign_in(0)
    newer = fleet.bao.kv("keys").read(access_path(bot)).data["access_token"]
    found = await refresh
    assert found.state == "conflict"
    assert (fleet.attempts(), fleet.escrows()) == (["conflict"], 0)
    assert fleet.bao.kv("keys").read(access_path(bot)).data["access_token"] == newer
    assert (await fleet.fresh()).state == "fresh"


async def test_a_vault_that_was_set_back_costs_no_family(fleet: Fleet) -> None:
    """Its refresh token is one that X has had: it is not sent a second time."""
    [bot] = await fleet.with_bots()
    before = {path: fleet.bao.kv("keys").read(path).data for path in (refresh_path(bot), access_path(bot))}
    near_the_end(fleet)
    assert (await fleet.fresh()).state == "refreshed"
    for path, data in before.items():
        fleet.bao.kv("keys").write(path, data, None)
    assert (await fleet.fresh()).state == "waiting"
    after_the_end(fleet)
    assert (await fleet.fresh()).state == "needs_login"
    assert fleet.calls() == {"granted": 1}


async def test_without_a_refresh_token_the_access_token_serves_to_its_end(fleet: Fleet) -> None:
    [bot] = await fleet.with_bots()
    fleet.bao.kv("gateway").delete(refresh_path(bot))
    async with fleet.at.transaction() as session:
        await session.execute(text("DELETE FROM credentials WHERE kind = 'x_user_refresh'"))
    near_the_end(fleet)
    found = await fleet.fresh()
    assert (found.state, found.token is not None) == ("waiting", True)
    after_the_end(fleet)
    assert (await fleet.fresh()).state == "needs_login"
    assert fleet.state() == "needs_login"


async def test_one_that_cannot_be_refreshed_stops_no_other(fleet: Fleet) -> None:
    await fleet.with_bots(5)
    near_the_end(fleet)
    fleet.x.fault("drop", when="after", endpoint=TOKEN, account="bot_2", count=1)
    found = await x_user_tokens.refresh(fleet.at, await x_user_tokens.due(fleet.at))
    assert {one.handle: one.state for one in found} == {
        **{f"bot_{number}": "refreshed" for number in (0, 1, 3, 4)},
        "bot_2": "waiting",
    }
    assert [(one.settle, one.bot_id) for one in await x_user_tokens.due(fleet.at)] == [(True, fleet.bots[2])]


async def test_a_bot_without_an_app_says_so_and_stops_no_other(fleet: Fleet) -> None:
    await fleet.with_bots(2)
    near_the_end(fleet)
    fleet.rows("UPDATE bots SET x_app_id = NULL WHERE handle = 'bot_0' RETURNING id")
    found = await x_user_tokens.refresh(fleet.at, await x_user_tokens.due(fleet.at))
    assert {one.handle: one.state for one in found} == {"bot_0": "waiting", "bot_1": "refreshed"}
    assert "name one as `app`" in next(one.said for one in found if one.handle == "bot_0")
    assert fleet.attempts() == ["granted"]


async def test_a_bot_that_is_retired_or_needs_a_login_is_left_alone(fleet: Fleet) -> None:
    await fleet.with_bots(2)
    near_the_end(fleet)
    fleet.rows("UPDATE bots SET state = 'retired' WHERE handle = 'bot_0' RETURNING id")
    fleet.rows("UPDATE bots SET state = 'paused' WHERE handle = 'bot_1' RETURNING id")
    assert [one.bot_id for one in await x_user_tokens.due(fleet.at)] == [fleet.bots[1]]
    assert (await fleet.fresh(0)).state == "waiting"
    assert (await fleet.fresh(1)).state == "refreshed"
