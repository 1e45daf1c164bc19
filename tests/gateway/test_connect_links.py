"""A bot that lost its tokens, and the owner of its account, who has no login here."""

import html
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.x.rehearsal import grant
from config.places import Places
from tests.gateway.conftest import Front, served
from tests.gateway.test_bots import files, with_x  # noqa: F401
from tests.x_sandbox_process import XSandboxProcess

pytestmark = pytest.mark.promise("C3")

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def connected(with_x: tuple[XSandboxProcess, Places]) -> AsyncIterator[Front]:  # noqa: F811
    """A gateway with a bot that was connected, and whose tokens are lost."""
    x, places = with_x
    async with served(places) as front:
        app = x.app("app", redirect_uri=f"{places.gateway}/oauth/callback")
        secrets = {"client_id": app["client_id"], "client_secret": app["client_secret"]}
        await front.call("POST", "/apps", json={"name": "main", "use_case": "Service", **secrets})
        await front.call("POST", "/bots/import", json=files("city_weather"))
        link = (await front.call("POST", "/bots/city_weather/login")).json()
        assert (await come_back(front, link["url"])).status_code == 200
        yield front


async def come_back(front: Front, url: str) -> httpx.Response:
    """The owner grants access on X, and is led back."""
    state, code = await grant(url, username="city_weather", name="City weather", description="Automated by @vive_ops")
    given = {"state": state, "code": code.get_secret_value()}
    return await front.anybody.get(f"{front.places.gateway}/oauth/callback", params=given)


async def lose(sessions: Sessions, **fields: object) -> None:
    """X takes the bot's tokens no more."""
    setting = ", ".join(f"{name} = :{name}" for name in fields)
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET state = 'needs_login'"))
        if fields:
            await session.execute(text(f"UPDATE bots SET {setting}"), fields)  # noqa: S608


async def make(front: Front) -> str:
    """The link's secret."""
    answer = await front.call("POST", "/bots/city_weather/connect-link")
    assert answer.status_code == 201
    url = answer.json()["url"]
    assert urlsplit(url).path == "/connect"
    return str(url.partition("?link=")[2])


async def follow(front: Front, secret: str) -> httpx.Response:
    """The owner presses the button."""
    headers = {"Origin": front.places.front_door}
    return await front.anybody.post("/connect", data={"link": secret}, headers=headers)


async def test_an_owner_without_a_login_reads_what_will_happen_and_connects_his_account_once(
    connected: Front, sessions: Sessions
) -> None:
    await lose(sessions)
    account = (await connected.call("GET", "/bots/city_weather")).json()["x_user_id"]
    secret = await make(connected)
    for _ in range(2):  # what previews links opens them too
        page = await connected.anybody.get("/connect", params={"link": secret})
        assert page.status_code == 200
    said = html.unescape(page.text)
    for fact in ("@city_weather", f"account {account}", "@vive_ops", "“main”", "never see your password", "works once"):
        assert fact in said
    policy = page.headers["content-security-policy"]
    x = urlsplit(connected.places.x_authorize)
    assert f"form-action 'self' {x.scheme}://{x.netloc};" in policy
    led = await follow(connected, secret)
    assert (led.status_code, urlsplit(led.headers["location"]).netloc) == (303, x.netloc)
    assert "@city_weather is connected" in (await come_back(connected, led.headers["location"])).text
    assert (await connected.call("GET", "/bots/city_weather")).json()["state"] == "active"
    assert (await follow(connected, secret)).status_code == 410
    assert (await connected.anybody.get("/connect", params={"link": secret})).status_code == 410
    async with sessions.begin() as session:
        for table in ("connect_links", "consents", "audit_log", "activity_log"):
            rows = await session.execute(text(f"SELECT t::text FROM {table} AS t"))  # noqa: S608
            assert secret not in "".join(row[0] for row in rows)


async def test_two_who_follow_one_link_connect_once(connected: Front, sessions: Sessions) -> None:
    await lose(sessions)
    secret = await make(connected)
    first, second = [(await follow(connected, secret)).headers["location"] for _ in range(2)]
    assert (await come_back(connected, second)).status_code == 200
    late = await come_back(connected, first)
    assert (late.status_code, "used, replaced or has ended" in late.text) == (409, True)


async def test_a_link_is_for_the_account_that_was_connected_before_whatever_its_handle_is_now(
    connected: Front, sessions: Sessions
) -> None:
    await lose(sessions, x_user_id="1")
    led = await follow(connected, await make(connected))
    refused = await come_back(connected, led.headers["location"])
    assert (refused.status_code, "another account has this handle now" in refused.text) == (409, True)
    assert (await connected.call("GET", "/bots/city_weather")).json()["state"] == "needs_login"


async def test_a_newer_link_voids_the_one_before_and_time_voids_them_all(connected: Front, sessions: Sessions) -> None:
    await lose(sessions)
    old, new = await make(connected), await make(connected)
    assert (await follow(connected, old)).status_code == 410
    async with sessions.begin() as session:
        await session.execute(text("UPDATE connect_links SET expires_at = app_now()"))
    gone = await connected.anybody.get("/connect", params={"link": new})
    assert (gone.status_code, "unknown, used, replaced by a newer one, or too old" in gone.text) == (410, True)
    assert (await connected.anybody.post("/connect", data={"link": new})).status_code == 403


async def test_x_answering_for_a_suspended_account_at_its_sign_in_ends_the_suspension(
    connected: Front, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET state = 'suspended'"))
        await session.execute(
            text("INSERT INTO breakers (bot_id, cause, evidence) SELECT id, 'suspended', 'X says so' FROM bots")
        )
    answer = await follow(connected, await make(connected))
    assert (await come_back(connected, answer.headers["location"])).status_code == 200
    assert (await connected.call("GET", "/bots/city_weather")).json()["state"] == "active"
    assert (await connected.call("GET", "/breakers")).json() == []
