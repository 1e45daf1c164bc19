"""The inventory of credentials over the API."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front, a_key
from tests.makers import stored_bots

Sessions = async_sessionmaker[AsyncSession]
PLANTED = "planted-secret-of-an-app"


@pytest.fixture
async def planted(front: Front, sessions: Sessions) -> Front:
    """Two bots with tokens, one of them lost, an app and a service's key."""
    app = {"name": "main", "use_case": "Service", "client_id": "id", "client_secret": PLANTED}
    (await front.call("POST", "/apps", json=app)).raise_for_status()
    service = {"name": "hook", "service": "webhook", "secret": f"{PLANTED}-of-a-hook"}
    (await front.call("POST", "/apikeys/store", json=service)).raise_for_status()
    async with sessions.begin() as session:
        for label, state in (("weather", "active"), ("transit", "needs_login")):
            [bot] = await stored_bots(session, 1, labels=[label], handle=f"of_{label}", x_user_id=label)
            await session.execute(
                text(
                    "INSERT INTO credentials (kind, bot_id, vault_path, version, issued_at, expires_at) VALUES "
                    "('x_user_access', :bot, :path, 3, app_now(), app_now() + interval '2 hours')"
                ),
                {"bot": bot, "path": f"bots/{bot}/access"},
            )
            await session.execute(text("UPDATE bots SET state = :state WHERE id = :bot"), {"state": state, "bot": bot})
    return front


async def test_every_credential_has_its_age_its_end_and_what_is_next_and_no_secret(planted: Front) -> None:
    answer = await planted.call("GET", "/credentials")
    assert PLANTED not in answer.text
    rows = {(row["kind"], row["owner"]): row for row in answer.json()}
    assert {"jwt_keys", "service", "x_app_client", "x_user_access"} >= {kind for kind, _ in rows} - {"x_app_keys"}
    token = rows["x_user_access", "@of_weather"]
    assert (token["version"], token["state"]) == (3, "in use")
    assert token["issued_at"] == token["rotated_at"] < token["next_at"] < token["expires_at"]
    assert rows["x_user_access", "@of_transit"]["state"] == "needs login"
    app = rows["x_app_client", "main"]
    assert (app["version"], app["rotated_at"], app["state"]) == (1, None, "in use")
    assert rows["service", "hook"]["expires_at"] is None


async def test_the_plan_names_each_step_with_what_stops_where_it_breaks(planted: Front) -> None:
    answer = await planted.call("GET", "/credentials/plan")
    rows = {(row["kind"], row["owner"]): row for row in answer.json()}
    assert rows["jwt_keys", "gateway"]["serves"] == "every sign-in to the API and the console"
    assert rows["x_app_keys", "main"]["serves"] == "posts and tokens of 0 bots"
    assert rows["x_app_keys", "main"]["step"] == "rest"


@pytest.mark.promise("A2")
async def test_who_has_a_label_sees_the_credentials_of_its_bots_alone(planted: Front) -> None:
    key = await a_key(planted, "vera", ("viewer", "weather"))
    seen = (await planted.anybody.get("/api/v1/credentials", headers=key)).json()
    assert [row["owner"] for row in seen] == ["@of_weather"]
    for path in ("/api/v1/credentials/plan",):
        assert (await planted.anybody.get(path, headers=key)).status_code == 403


@pytest.mark.promise("A3")
async def test_a_secret_is_shown_once_to_an_admin_with_his_reason_audited(planted: Front, sessions: Sessions) -> None:
    wanted = {"kind": "x_app_client", "owner": "main", "reason": "moving to another house"}
    operator = await a_key(planted, "olaf", ("operator", None))
    refused = await planted.anybody.post("/api/v1/credentials/reveal", json=wanted, headers=operator)
    assert refused.status_code == 403
    shown = await planted.call("POST", "/credentials/reveal", json=wanted)
    assert shown.json() == {"version": 1, "secret": PLANTED}
    again = await planted.call("POST", "/credentials/reveal", json=wanted)
    assert (again.status_code, again.json()["type"]) == (409, "urn:vivesphere:problem:not-shown")
    async with sessions.begin() as session:
        rows = (await session.execute(text("SELECT action, details::text FROM audit_log ORDER BY id"))).all()
        assert [row.details for row in rows if row.action == "credentials.reveal"] == [
            '{"reason": "moving to another house", "version": 1}'
        ]
        assert PLANTED not in str(rows)
