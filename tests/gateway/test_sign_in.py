"""Who gets in, with what, and what is said to those who do not."""

import base64
import json
import stat
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import KeySet
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from config.places import Places
from deployments.gateway import first_sign_in, tokens
from deployments.gateway.app import ROUTERS
from deployments.gateway.sign_in import Needs, authenticate, holder
from deployments.gateway.tokens import Signer
from tasks.operations import signing_keys
from tests.gateway.conftest import PASSWORD, Front, a_user, let_admin_choose, served, without_rights
from tests.waiting import until

Sessions = async_sessionmaker[AsyncSession]

# Open to everybody, each for a reason: how else would one sign in, look whether we live, or come back from X.
PUBLIC = {
    ("POST", "/api/v1/auth/login"),
    ("GET", "/api/v1/health"),
    ("GET", "/oauth/callback"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("GET", "/set-password"),
    ("POST", "/set-password"),
    # The link itself is what lets in: the account's owner has no login here.
    ("GET", "/connect"),
    ("POST", "/connect"),
    ("GET", "/console/style.css"),
}
# On these a stranger is led to the sign-in; tests of their own are in test_pages.py.
PAGES = "/account"


def permissions(dependant: object) -> list[str]:
    own = [dependant.call.permission] if isinstance(getattr(dependant, "call", None), Needs) else []
    return own + [found for below in getattr(dependant, "dependencies", ()) for found in permissions(below)]


def every_route() -> list[tuple[str, str, list[str]]]:
    return [
        (method, f"{prefix}{route.path}", permissions(route.dependant))
        for prefix, router in ROUTERS
        for route in router.routes
        for method in route.methods
    ]


@pytest.mark.promise("A1")
def test_every_route_names_the_permission_it_needs_or_is_known_to_be_public() -> None:
    unguarded = {(method, path) for method, path, needed in every_route() if not needed}
    assert unguarded == PUBLIC


@pytest.mark.promise("A1")
async def test_every_guarded_route_turns_strangers_away(front: Front) -> None:
    elsewhere = ("/api/v1/auth/validate", PAGES)
    guarded = [(method, path) for method, path, needed in every_route() if needed and not path.startswith(elsewhere)]
    assert len(guarded) > 12
    for method, path in guarded:
        answer = await front.anybody.request(method, path)
        assert (path, answer.status_code) == (path, 401)
        assert answer.json()["type"] == "urn:vivesphere:problem:sign-in-needed"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.promise("A1")
async def test_every_guarded_route_turns_away_who_lost_his_role(front: Front, sessions: Sessions) -> None:
    key = front.admin.headers["Authorization"].removeprefix("Bearer ")
    nobody = await without_rights(front, sessions)
    asked = [route for route in every_route() if route[2] and not route[1].startswith(PAGES)]
    for method, path, needed in asked:
        answer = await nobody.request(method, path, params={"token": key})
        assert (path, answer.status_code) == (path, 403)
        assert needed[0] in answer.json()["detail"]
    async with sessions.begin() as session:
        noted = await session.execute(text("SELECT count(*) FROM activity_log WHERE action = 'access.denied'"))
        assert noted.scalar_one() == len(asked)


async def login(front: Front, password: str = PASSWORD, username: str = "admin") -> dict[str, Any]:
    answer = await front.anybody.post("/api/v1/auth/login", json={"username": username, "password": password})
    return {**answer.json(), "status": answer.status_code}


async def test_name_and_password_bring_a_token_that_opens_the_api(front: Front) -> None:
    await let_admin_choose(front)
    signed_in = await login(front)
    assert (signed_in["token_type"], signed_in["expires_in"]) == ("Bearer", 900)
    token = {"Authorization": f"Bearer {signed_in['access_token']}"}
    assert (await front.anybody.get("/api/v1/bots", headers=token)).status_code == 200
    answer = await front.anybody.get("/api/v1/auth/validate", params={"token": signed_in["access_token"]})
    held = [{"role": "admin", "label": None}]
    assert answer.json() == {"status": "valid", "name": "admin", "kind": "user", "roles": held}


def as_header(scheme: str, given: str) -> dict[str, str]:
    return {"Authorization": f"{scheme} {given}"}


async def test_a_key_opens_the_api_as_bearer_and_as_the_basic_that_prefects_programs_send(front: Front) -> None:
    key = front.admin.headers["Authorization"].removeprefix("Bearer ")
    basic = base64.b64encode(key.encode()).decode()
    wrong = base64.b64encode(f"{key}x".encode()).decode()
    for header, status in (
        (as_header("Bearer", key), 200),
        (as_header("Basic", basic), 200),
        (as_header("Basic", wrong), 401),
        (as_header("Basic", "no base64"), 401),
        (as_header("Digest", key), 401),
    ):
        assert (await front.anybody.get("/api/v1/bots", headers=header)).status_code == status


async def test_proxy_and_websockets_learn_who_asks_without_a_route(front: Front) -> None:
    key = front.admin.headers["Authorization"].removeprefix("Bearer ")
    ready = front.app.state.opening.ready

    def asked(*headers: tuple[bytes, bytes]) -> dict[str, object]:
        return {"type": "websocket", "path": "/api/events/out", "scheme": "ws", "headers": headers}

    found = await authenticate(ready, asked((b"authorization", f"Bearer {key}".encode())))
    assert found is not None
    assert (found.actor.name, found.actor.may("prefect.admin")) == ("admin/cli", True)
    # Prefect's programs name themselves in the first message of a websocket.
    assert await holder(ready, key) == found
    for stranger in ([], [(b"authorization", b"Bearer x:y")]):
        assert await authenticate(ready, asked(*stranger)) is None
    assert await holder(ready, "x:y") is None


async def test_wrong_name_and_wrong_password_are_told_the_same(front: Front) -> None:
    await let_admin_choose(front)
    one = await login(front, password="wrong")  # pragma: allowlist secret
    other = await login(front, username="nobody")
    assert one == other
    assert (one["status"], one["type"]) == (401, "urn:vivesphere:problem:sign-in-refused")


async def test_a_token_ends_by_itself_and_with_its_user(front: Front) -> None:
    signer: Signer = front.app.state.opening.ready.signer
    user = await a_user(front, "anna", ("viewer", None))
    old = await Signer(timedelta(seconds=-1), signer.read).issue("anna", 1)
    answer = await front.anybody.get("/api/v1/auth/validate", params={"token": old.value})
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:vivesphere:problem:token-expired")
    token = (await login(front, username="anna"))["access_token"]
    key = (await front.call("POST", "/keys", json={"name": "k", "user_id": user["id"]})).json()["key"]
    for good in (token, key):
        assert (await front.anybody.get("/api/v1/auth/validate", params={"token": good})).status_code == 200
    (await front.call("POST", "/users/anna/disable")).raise_for_status()
    for good in (token, key):
        assert (await front.anybody.get("/api/v1/auth/validate", params={"token": good})).status_code == 401
    (await front.call("POST", "/users/anna/enable")).raise_for_status()
    # The key slept; the token is void for good.
    answers = [await front.anybody.get("/api/v1/auth/validate", params={"token": good}) for good in (token, key)]
    assert [answer.status_code for answer in answers] == [401, 200]


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
        lambda token: token.split(".")[0] + "." + token.split(".")[1] + ".",
        lambda token: "eyJhbGciOiJub25lIn0." + token.split(".")[1] + ".",
        lambda token: "not a token",
        lambda token: "00000000-0000-0000-0000-000000000000:guess",
        lambda token: "x:y",
        lambda token: "a" * 5000,
        lambda token: "session." + "a" * 43,
    ],
)
async def test_a_forged_token_is_refused(front: Front, change: object) -> None:
    token = (await front.app.state.opening.ready.signer.issue("admin", 1)).value
    headers = {"Authorization": f"Bearer {change(token)}"}  # type: ignore[operator]
    answer = await front.anybody.get("/api/v1/bots", headers=headers)
    assert answer.status_code == 401


async def test_a_token_of_another_audience_is_refused(front: Front) -> None:
    from joserfc import jwt

    key = front.app.state.opening.ready.signer.keys.keys[0]
    claims = {"sub": "admin", "iss": "vivesphere", "aud": "another", "gen": 1, "iat": 1, "exp": 32503680000, "jti": "1"}
    token = jwt.encode({"alg": "EdDSA", "kid": key.kid}, claims, key, algorithms=["EdDSA"])
    answer = await front.anybody.get("/api/v1/auth/validate", params={"token": token})
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:vivesphere:problem:token-refused")


async def test_signing_keys_change_without_a_restart_and_old_tokens_stay_good(front: Front) -> None:
    ready = front.app.state.opening.ready
    kv, signer = ready.connections.kv, ready.signer
    old = (await signer.issue("admin", 1)).value
    [first] = signer.keys.keys
    second = signing_keys.new_key()
    version = kv.metadata(signing_keys.KEYS_PATH).version
    kv.write(signing_keys.KEYS_PATH, signing_keys.stored(KeySet([second, first])), version)
    # Another gateway signs with the new key; this one has not read it yet.
    other = await tokens.signer(ready.connections)
    new = (await other.issue("admin", 1)).value

    async def good(token: str) -> bool:
        return (await front.anybody.get("/api/v1/auth/validate", params={"token": token})).status_code == 200

    # The set is read again for an unknown key, but not at every guess.
    await until(lambda: good(new))
    assert await good(old)
    published = (await front.anybody.get("/.well-known/jwks.json")).json()["keys"]
    assert [key["kid"] for key in published] == [second.kid, first.kid]
    assert not any("d" in key for key in published)
    kv.write(signing_keys.KEYS_PATH, signing_keys.stored(KeySet([second])), version + 1)
    await signer.refresh(older_than_seconds=0)
    assert [await good(token) for token in (new, old)] == [True, False]


async def test_the_first_admin_has_a_link_until_a_password_was_chosen(places: Places) -> None:
    files = (first_sign_in.link_file(places), places.cli_key)
    async with served(places):
        first = [file.read_text(encoding="utf-8") for file in files]
        assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
        assert first[0].startswith(f"{places.gateway}/set-password?link=")
    async with served(places) as front:
        assert [file.read_text(encoding="utf-8") for file in files] == first
        await let_admin_choose(front)
        assert not files[0].exists()
        token = (await login(front))["access_token"]
    files[1].write_text("no key", encoding="utf-8")
    async with served(places) as front:
        assert not files[0].exists()
        assert files[1].read_text(encoding="utf-8") not in ("no key", first[1])
        old_key = {"Authorization": f"Bearer {first[1]}"}
        assert (await front.anybody.get("/api/v1/bots", headers=old_key)).status_code == 401
        # Tokens outlive a restart: the signing key lies in the vault.
        assert (await front.anybody.get("/api/v1/auth/validate", params={"token": token})).status_code == 200


async def test_a_link_that_opens_nothing_is_replaced_at_the_next_start(places: Places, sessions: Sessions) -> None:
    file = first_sign_in.link_file(places)
    async with served(places):
        first = file.read_text(encoding="utf-8")
    async with sessions.begin() as session:
        await session.execute(text("UPDATE sign_in_links SET expires_at = app_now()"))
    async with served(places):
        assert file.read_text(encoding="utf-8") != first


async def test_an_admin_who_left_comes_back_by_no_restart(places: Places) -> None:
    async with served(places) as front:
        await a_user(front, "anna", ("admin", None))
        key = {"Authorization": front.admin.headers["Authorization"]}
        (await front.call("POST", "/users/admin/offboard")).raise_for_status()
        assert (await front.anybody.get("/api/v1/bots", headers=key)).status_code == 401
    async with served(places) as front:
        assert (await front.call("GET", "/bots")).status_code == 401
        token = (await login(front, username="anna"))["access_token"]
        shown = await front.anybody.get("/api/v1/users/admin", headers=as_header("Bearer", token))
        assert (shown.json()["disabled_at"] is not None, shown.json()["roles"]) == (True, [])


async def test_sign_ins_and_refusals_stand_in_the_security_log(front: Front, sessions: Sessions) -> None:
    await let_admin_choose(front)
    await login(front)
    await login(front, password="wrong")  # pragma: allowlist secret
    await login(front, username="my password, in the wrong field")
    async with sessions.begin() as session:
        rows = await session.execute(
            text("SELECT actor, action, subject FROM activity_log WHERE category = 'security' ORDER BY id DESC LIMIT 3")
        )
        assert [tuple(row) for row in rows] == [
            ("gateway", "access.refused", "a name that nobody has"),
            ("gateway", "access.refused", "admin"),
            ("admin", "access.sign_in", "admin"),
        ]


async def test_a_login_without_its_fields_names_them_and_repeats_nothing(front: Front) -> None:
    answer = await front.anybody.post("/api/v1/auth/login", json={"username": "", "passwort": "hunter2-planted"})
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"body.username", "body.password", "body.passwort"}
    assert "hunter2-planted" not in json.dumps(answer.json())
