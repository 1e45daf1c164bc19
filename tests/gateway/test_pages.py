"""Our own pages, without a script: sign in, account, first password; and what a cookie is good for."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from config.places import Places
from config.settings import Gateway
from deployments.gateway import cookies, first_sign_in, sign_in
from deployments.gateway.__main__ import objection
from deployments.gateway.console.sign_in import within
from tests.gateway.conftest import PASSWORD, Front, a_user, let_admin_choose, served

Sessions = async_sessionmaker[AsyncSession]
OURS = {"Sec-Fetch-Site": "same-origin"}
OTHER = "quite another lamp"


async def sent(client: httpx.AsyncClient, path: str, headers: dict[str, str] = OURS, **form: str) -> httpx.Response:
    return await client.post(path, data=form, headers=headers)


async def signed_in(front: Front, username: str = "anna", *roles: tuple[str, str | None]) -> httpx.Response:
    """A new user with these roles, signed in on the page."""
    await a_user(front, username, *(roles or (("operator", None),)))
    return await sent(front.anybody, "/login", username=username, password=PASSWORD)


async def test_the_first_admin_chooses_a_password_by_the_link_and_signs_in(front: Front) -> None:
    address = first_sign_in.link_file(front.places).read_text(encoding="utf-8")
    link = address.partition("link=")[2]
    asked = await front.anybody.get(address)
    assert (asked.status_code, "admin" in asked.text) == (200, True)
    for password, again in (("short", "short"), (PASSWORD, OTHER)):
        refused = await sent(front.anybody, "/set-password", link=link, password=password, again=again)
        assert (refused.status_code, password in refused.text) == (422, False)
    chosen = await sent(front.anybody, "/set-password", link=link, password=PASSWORD, again=PASSWORD)
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/login?notice=chosen")
    assert not first_sign_in.link_file(front.places).exists()
    # Once.
    assert (await front.anybody.get(address)).status_code == 410
    again = await sent(front.anybody, "/set-password", link=link, password=OTHER, again=OTHER)
    assert again.status_code == 410
    inside = await sent(front.anybody, "/login", username="admin", password=PASSWORD)
    assert (inside.status_code, inside.headers["location"]) == (303, "/account")
    assert "admin for everything" in (await front.anybody.get("/account")).text


async def test_a_session_has_a_cookie_that_no_script_and_no_other_site_gets(front: Front) -> None:
    cookie = (await signed_in(front)).headers["set-cookie"]
    assert re.fullmatch(r"vivesphere=session\.[\w-]{43}; HttpOnly; Max-Age=86400; Path=/; SameSite=lax", cookie), cookie
    over_tls = httpx.AsyncClient(transport=httpx.ASGITransport(front.app), base_url="https://bots.example.org")
    async with over_tls as client:
        answer = await sent(client, "/login", username="anna", password=PASSWORD)
        assert re.fullmatch(
            r"__Host-vivesphere=session\.[\w-]{43}; HttpOnly; Max-Age=86400; Path=/; SameSite=lax; Secure",
            answer.headers["set-cookie"],
        )
        assert (await client.get("/account")).status_code == 200
        # The name without the prefix, which a site next door could set, counts only without TLS.
        plain = {"Cookie": f"vivesphere={client.cookies['__Host-vivesphere']}"}
        client.cookies.clear()
        assert (await client.get("/account", headers=plain)).status_code == 303


@pytest.mark.parametrize("path", ["/login", "/account", "/set-password?link=x"])
async def test_pages_run_nothing_load_nothing_and_are_framed_by_nobody(front: Front, path: str) -> None:
    await signed_in(front)
    answer = await front.anybody.get(path)
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "same-origin")
    assert not re.search(r"<script|style=|onclick|https?://", answer.text)


async def test_a_stranger_is_led_to_the_sign_in_and_back(front: Front) -> None:
    led = await front.anybody.get("/account")
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=/account")
    await a_user(front, "anna", ("viewer", None))
    back = await sent(front.anybody, "/login", username="anna", password=PASSWORD, next="/v2/runs")
    assert back.headers["location"] == "/v2/runs"


@pytest.mark.parametrize("address", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/a\nb"])
def test_nobody_is_led_elsewhere(address: str) -> None:
    assert within(address) == ""
    assert within("/v2/runs?x=1") == "/v2/runs?x=1"


async def test_signing_in_ends_the_session_that_the_browser_had(front: Front, sessions: Sessions) -> None:
    await signed_in(front)
    first = front.anybody.cookies["vivesphere"]
    await sent(front.anybody, "/login", username="anna", password=PASSWORD)
    assert front.anybody.cookies["vivesphere"] != first
    front.anybody.cookies.clear()
    assert (await front.anybody.get("/account", headers={"Cookie": f"vivesphere={first}"})).status_code == 303
    async with sessions.begin() as session:
        rows = await session.execute(text("SELECT ended_at IS NULL, secret_sha256::text FROM sessions ORDER BY id"))
        assert [row[0] for row in rows] == [False, True]


async def test_signing_out_ends_the_session_here_and_in_the_database(front: Front) -> None:
    await signed_in(front)
    held = {"Cookie": f"vivesphere={front.anybody.cookies['vivesphere']}"}
    out = await sent(front.anybody, "/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/login?notice=out")
    assert "vivesphere" not in front.anybody.cookies
    assert (await front.anybody.get("/account", headers=held)).status_code == 303


@pytest.mark.parametrize("what", ["unused", "old", "disabled", "offboarded", "password"])
async def test_a_session_ends(front: Front, sessions: Sessions, what: str) -> None:
    await signed_in(front)
    assert (await front.anybody.get("/account")).status_code == 200
    ends: dict[str, Callable[[], Awaitable[Any]]] = {
        "disabled": lambda: front.call("POST", "/users/anna/disable"),
        "offboarded": lambda: front.call("POST", "/users/anna/offboard"),
        "password": lambda: front.call("POST", "/users/anna/password", json={"password": OTHER}),
    }
    if what in ends:
        (await ends[what]()).raise_for_status()
    else:
        passed = {
            "unused": "UPDATE sessions SET seen_at = seen_at - interval '28801 s'",
            "old": "UPDATE sessions SET ends_at = ends_at - interval '86401 s'",
        }
        async with sessions.begin() as session:
            await session.execute(text(passed[what]))
    assert (await front.anybody.get("/account")).status_code == 303


async def test_a_cookie_changes_something_only_from_a_page_of_ours(front: Front) -> None:
    await signed_in(front)
    own = str(front.anybody.base_url).rstrip("/")
    drafts: list[Any] = [{"bot": "x", "text": "y", "due_at": "2040-01-01T00:00:00Z"}]
    for headers, status in (
        (OURS, 200),
        ({"Origin": own}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": own}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({}, 403),
    ):
        answer = await front.anybody.post("/api/v1/posts", json=drafts, headers=headers)
        assert (headers, answer.status_code) == (headers, status)
        assert (await front.anybody.get("/api/v1/bots", headers=headers)).status_code == 200
    scope = {
        "type": "websocket",
        "path": "/api/events/out",
        "scheme": "ws",
        "headers": [
            (b"host", own.removeprefix("http://").encode()),
            (b"cookie", f"vivesphere={front.anybody.cookies['vivesphere']}".encode()),
        ],
    }
    ready = front.app.state.opening.ready
    assert await sign_in.authenticate(ready, scope) is None
    scope["headers"].append((b"origin", own.encode()))  # type: ignore[attr-defined]
    found = await sign_in.authenticate(ready, scope)
    assert found is not None and found.name == "anna"


FORMS = ["/login", "/logout", "/set-password", "/account/keys", "/account/password", "/account/sessions/end"]


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_of_another_site_is_refused(front: Front, path: str) -> None:
    await signed_in(front)
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
        answer = await sent(front.anybody, path, headers, username="anna", password=PASSWORD, name="k")
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:vivesphere:problem:cross-site")
    assert (await front.anybody.get("/account")).status_code == 200


async def test_a_person_makes_and_revokes_keys_of_his_own(front: Front) -> None:
    await signed_in(front, "anna", ("operator", "weather"))
    made = await sent(front.anybody, "/account/keys", name="<b>backup</b>", role="", label="")
    assert made.status_code == 201
    [key] = re.findall(r'<code class="secret">([^<]+)</code>', made.text)
    assert "<b>backup" not in made.text and "&lt;b&gt;backup" in made.text
    as_program = {"Authorization": f"Bearer {key}"}
    front.admin.headers.clear()
    assert (await front.admin.get("/api/v1/bots", headers=as_program)).status_code == 200
    shown = await front.anybody.get("/account")
    assert key.partition(":")[2] not in shown.text
    too_much = await sent(front.anybody, "/account/keys", name="k", role="admin", label="")
    assert (too_much.status_code, "holds no role" in too_much.text) == (422, True)
    [key_id] = re.findall(r"/account/keys/([0-9a-f-]+)/revoke", shown.text)
    gone = await sent(front.anybody, f"/account/keys/{key_id}/revoke")
    assert gone.headers["location"] == "/account?notice=revoked"
    assert (await front.admin.get("/api/v1/bots", headers=as_program)).status_code == 401


async def test_a_person_changes_the_password_and_stays_signed_in_here_alone(front: Front) -> None:
    await signed_in(front)
    elsewhere = {"Cookie": f"vivesphere={front.anybody.cookies['vivesphere']}"}
    front.anybody.cookies.clear()
    await sent(front.anybody, "/login", username="anna", password=PASSWORD)
    for old, new, again in ((OTHER, OTHER, OTHER), (PASSWORD, "short", "short"), (PASSWORD, OTHER, PASSWORD)):
        refused = await sent(front.anybody, "/account/password", old=old, new=new, again=again)
        assert refused.status_code == 422
    done = await sent(front.anybody, "/account/password", old=PASSWORD, new=OTHER, again=OTHER)
    assert done.headers["location"] == "/account?notice=changed"
    assert (await front.anybody.get("/account")).status_code == 200
    front.anybody.cookies.clear()
    assert (await front.anybody.get("/account", headers=elsewhere)).status_code == 303
    assert (await sent(front.anybody, "/login", username="anna", password=PASSWORD)).status_code == 401


@pytest.fixture
def strict(places: Places) -> Places:
    """Three attempts by name, six by client."""
    gateway = places.settings.gateway.model_copy(update={"attempts_max": 3, "client_attempts_max": 6})
    return Places(places.settings.model_copy(update={"gateway": gateway}))


async def test_a_locked_name_is_told_what_everybody_is_told_and_a_lock_ends(strict: Places, sessions: Sessions) -> None:
    async with served(strict) as front:
        await let_admin_choose(front)
        await a_user(front, "anna", ("viewer", None))
        await front.call("POST", "/users/anna/disable")

        async def tried(username: str, password: str) -> tuple[int, str]:
            answer = await front.anybody.post("/api/v1/auth/login", json={"username": username, "password": password})
            return answer.status_code, answer.text

        # All at once: counted before they are looked at, so that none is free.
        answers = set(await asyncio.gather(*(tried("admin", f"wrong {number}") for number in range(3))))
        answers.add(await tried("admin", PASSWORD))
        answers.add(await tried("anna", PASSWORD))
        answers.add(await tried("nobody", PASSWORD))
        assert len(answers) == 1 and answers.pop()[0] == 401
        # Six by this client: whoever it names now.
        await a_user(front, "berta", ("viewer", None))
        assert (await tried("berta", PASSWORD))[0] == 401
        async with sessions.begin() as session:
            locked = text("SELECT count(*) FROM activity_log WHERE details->>'locked' = 'true'")
            assert (await session.execute(locked)).scalar_one() == 2
            await session.execute(text("UPDATE sign_in_attempts SET since = since - interval '1 hour'"))
        assert [(await tried(name, PASSWORD))[0] for name in ("admin", "berta")] == [200, 200]
        async with sessions.begin() as session:
            left = await session.execute(text("SELECT subject, attempts FROM sign_in_attempts"))
            assert [tuple(row) for row in left] == [("client 127.0.0.1", 0)]


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "192.0.2.1"}, True),
        ({"host": "gateway.internal"}, True),
        ({"host": "192.0.2.1", "trusted_proxies": "10.0.0.2"}, False),
        ({"host": "192.0.2.1", "tls_certificate_file": "c.pem", "tls_key_file": "k.pem"}, False),
        ({"tls_certificate_file": "c.pem"}, True),
    ],
)
def test_no_password_goes_over_a_network_in_the_clear(settings: dict[str, Any], refused: bool) -> None:
    assert (objection(Gateway(**settings)) is not None) == refused


def test_the_two_names_of_the_cookie_are_never_taken_for_each_other() -> None:
    headers = [(b"cookie", b"vivesphere=session.plain; __Host-vivesphere=session.secure")]
    for scheme, secret in (("http", "plain"), ("ws", "plain"), ("https", "secure"), ("wss", "secure")):
        scope = {"type": "http", "scheme": scheme, "headers": headers}
        assert cookies.read(scope) == f"session.{secret}"
