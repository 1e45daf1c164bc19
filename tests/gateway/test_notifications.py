"""Operators are told: by the channels that an admin named, signed, once, tried again where that helps; and nothing of
what is secret about a channel stands anywhere but in the vault."""

import asyncio
import base64
import hashlib
import hmac
import logging
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from config.places import Places
from config.settings import Notifications
from tasks.connections import Connections, open_connections
from tasks.domain.alarms import Alarm
from tasks.operations import alarms, notifications
from tasks.store.notifications import DeliveryRow
from tests.gateway.conftest import Front, a_key
from tests.mail_server import MailServer
from tests.makers import stored_bots, stored_posts
from tests.openbao_process import OpenBaoProcess
from tests.postgres_process import PostgresProcess
from tests.prefect_stand_in import PrefectStandIn
from tests.told import Receiver
from tests.unit.x_peer import tls_for_loopback
from tests.waiting import until

Sessions = async_sessionmaker[AsyncSession]
HELD = Alarm("post_held", "held", "3 x held", ("nobody knows whether they are out",), "vivesphere posts held")
SECRET = "planted-in-an-address"  # pragma: allowlist secret


@pytest.fixture
def places(places: Places, vault: OpenBaoProcess, postgres: PostgresProcess, tmp_path: Path) -> Places:
    """A house whose own addresses may be told, quickly; and the login and ids of who tells."""
    for file in (vault.places.role_id("reader"), vault.places.secret_id("reader")):
        shutil.copy(file, tmp_path / "run")
    login = {"username": "vivesphere_reader", "password": postgres.password}
    vault.kv("provision").write("postgres/reader", login, None)
    tls_for_loopback(tmp_path)
    settings = Notifications(
        private_hosts="127.0.0.1", retry_seconds=0.05, answer_seconds=2, ca_file=tmp_path / "ca.pem"
    )
    return Places(places.settings.model_copy(update={"notifications": settings}))


@asynccontextmanager
async def teller(places: Places) -> AsyncIterator[Connections]:
    """As the run sees it that tells: its own role in the vault, and its own in the database."""
    async with open_connections("reader", places) as at:
        yield at


@pytest.fixture
async def reader(front: Front) -> AsyncIterator[Connections]:
    async with teller(front.places) as at:
        yield at


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as found:
        yield found


async def a_channel(front: Front, name: str, target: dict[str, Any], *about: str) -> str | None:
    answer = await front.call(
        "POST", "/notifications/channels", json={"name": name, "about": list(about), "target": target}
    )
    assert answer.status_code == 201, answer.text
    assert SECRET not in answer.text
    found: str | None = answer.json()["signing_secret"]
    return found


async def a_webhook(front: Front, receiver: Receiver, name: str = "on-call", *about: str) -> str:
    found = await a_channel(front, name, {"kind": "webhook", "url": f"{receiver.address}/{SECRET}"}, *about)
    assert found is not None
    return found


def outcomes(rows: list[DeliveryRow]) -> list[tuple[str, str, int]]:
    return sorted((row.channel, row.state, row.tries) for row in rows)


async def test_a_webhook_is_told_once_signed_and_again_only_after_a_while(
    front: Front, reader: Connections, receiver: Receiver
) -> None:
    secret = await a_webhook(front, receiver)
    assert outcomes(await notifications.tell(reader, [HELD, HELD])) == [("on-call", "sent", 1)]
    [heard] = receiver.heard
    assert heard.path == f"/{SECRET}"
    assert (heard.said["title"], heard.said["do"]) == ("3 x held", "vivesphere posts held")
    # As a receiver checks it, by the specification and not by our code.
    sent_at, message = heard.headers["webhook-timestamp"], heard.headers["webhook-id"]
    assert abs(int(sent_at) - time.time()) < 60 and message == heard.said["id"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{message}.{sent_at}.".encode() + heard.body, hashlib.sha256).digest()
    assert heard.headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"

    assert await notifications.tell(reader, [HELD]) == []
    assert len(receiver.heard) == 1
    other = Alarm("post_late", "late", "1 x late")
    assert outcomes(await notifications.tell(reader, [HELD, other])) == [("on-call", "sent", 1)]
    async with reader.transaction() as session:
        await session.execute(text("UPDATE notification_deliveries SET created_at = created_at - interval '1 hour'"))
    assert outcomes(await notifications.tell(reader, [HELD])) == [("on-call", "sent", 1)]
    assert len(receiver.heard) == 3


async def test_two_who_tell_at_once_tell_once(front: Front, reader: Connections, receiver: Receiver) -> None:
    await a_webhook(front, receiver)
    async with teller(front.places) as other:
        told = await asyncio.gather(*(notifications.tell(at, [HELD]) for at in (reader, other, reader, other)))
    assert sum(map(len, told)) == 1
    assert len(receiver.heard) == 1


@pytest.mark.parametrize(
    ("answers", "ended", "tries", "problem"),
    [
        ([503, 429], "sent", 3, None),
        ([500] * 6, "failed", 6, "the receiver answered 500"),
        ([404], "failed", 1, "the receiver answered 404"),
        ([302], "failed", 1, "the receiver answered 302"),
    ],
)
async def test_what_may_pass_is_tried_again_and_a_no_is_not(
    front: Front,
    reader: Connections,
    receiver: Receiver,
    answers: list[int],
    ended: str,
    tries: int,
    problem: str | None,
) -> None:
    await a_webhook(front, receiver)
    receiver.answers = list(answers)
    [row] = await notifications.tell(reader, [HELD])
    assert (row.state, row.tries) == (ended, tries)
    assert len(receiver.heard) == tries
    # Again and again the same message, so that a receiver can tell.
    assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1
    assert all(heard.path == f"/{SECRET}" for heard in receiver.heard), "a redirect was followed"
    [shown] = (await front.call("GET", "/notifications/deliveries")).json()
    assert (shown["state"], shown["tries"], shown["title"]) == (ended, tries, "3 x held")
    assert shown["problem"] == problem


async def test_a_receiver_that_is_away_or_says_nothing_costs_no_other_channel_its_message(
    front: Front, reader: Connections, receiver: Receiver
) -> None:
    receiver.silent = asyncio.Event()
    await a_webhook(front, receiver, "dumb")
    await a_channel(front, "gone", {"kind": "slack", "url": "http://127.0.0.1:1/x"})
    async with Receiver().listening() as well:
        await a_webhook(front, well, "well")
        telling = asyncio.create_task(notifications.tell(reader, [HELD]))
        await until(lambda: well.heard)
        receiver.silent.set()
        assert outcomes(await telling) == [("dumb", "sent", 1), ("gone", "failed", 6), ("well", "sent", 1)]


async def test_what_a_killed_run_left_is_told_by_the_next(
    front: Front, reader: Connections, receiver: Receiver
) -> None:
    receiver.silent = asyncio.Event()
    await a_webhook(front, receiver)
    async with teller(front.places) as killed:
        telling = asyncio.create_task(notifications.tell(killed, [HELD]))
        await until(lambda: receiver.heard)
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling
    receiver.silent.set()
    async with reader.transaction() as session:
        await session.execute(text("UPDATE notification_deliveries SET next_at = app_now()"))
    await notifications.tell(reader, [])
    [shown] = (await front.call("GET", "/notifications/deliveries")).json()
    assert (shown["state"], shown["tries"]) == ("sent", 2)
    assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1


async def test_a_channel_is_told_what_it_wants_in_its_own_words(
    front: Front, reader: Connections, receiver: Receiver
) -> None:
    await a_channel(front, "chat", {"kind": "slack", "url": f"{receiver.address}/{SECRET}"}, "post_held")
    await notifications.tell(reader, [HELD, Alarm("run_failed", "r", "a run failed")])
    [heard] = receiver.heard
    assert heard.said == {"text": "*3 x held*\nnobody knows whether they are out\n-&gt; vivesphere posts held"}


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_is_handed_in_in_private_and_signed_in(
    front: Front, reader: Connections, tmp_path: Path, security: str
) -> None:
    context, _ = tls_for_loopback(tmp_path)
    server = MailServer("ops", SECRET, says=["451 later"])
    async with server.running(context, at_once=security == "tls"):
        target = {
            "kind": "email",
            "host": "127.0.0.1",
            "port": server.port,
            "security": security,
            "username": "ops",
            "password": SECRET,
            "sender": "vivesphere@example.org",
            "recipients": ["ann@example.org", "bo@example.org"],
        }
        await a_channel(front, "mail", target)
        assert outcomes(await notifications.tell(reader, [HELD])) == [("mail", "sent", 2)]
        [message] = server.messages
        assert server.in_private == [True]
        assert server.recipients == [["ann@example.org", "bo@example.org"]]
        assert message["Subject"] == "[vivesphere] 3 x held"
        assert message["Auto-Submitted"] == "auto-generated"
        assert "vivesphere posts held" in message.get_content()

        server.password = "another"  # pragma: allowlist secret
        [row] = await notifications.tell(reader, [Alarm("post_late", "late", "1 x late")])
        # The server repeats the password in what it says; nobody repeats what it says.
        assert (row.state, row.problem) == ("failed", "the mail server answered 535")


async def test_only_an_admin_says_where_we_go_and_never_into_the_house(
    front: Front, reader: Connections, receiver: Receiver
) -> None:
    target = {"kind": "webhook", "url": "https://example.org/x"}
    for role, reads, writes in (("operator", 200, 403), ("viewer", 200, 403), ("worker", 403, 403)):
        headers = await a_key(front, f"a-{role}", (role, None))
        path = "/api/v1/notifications/channels"
        assert (await front.anybody.get(path, headers=headers)).status_code == reads
        asked = await front.anybody.post(path, json={"name": "x", "target": target}, headers=headers)
        assert asked.status_code == writes
        assert (await front.anybody.delete(f"{path}/x", headers=headers)).status_code == writes
    for url in ("http://example.org/x", "http://169.254.169.254/latest", "http://localhost/x"):
        refused = await front.call(
            "POST", "/notifications/channels", json={"name": "x", "target": {"kind": "webhook", "url": url}}
        )
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:vivesphere:problem:channel-refused")
    # By name and in private, this machine is reached neither: what a name leads to is judged when it is gone to.
    await a_channel(front, "inside", {"kind": "webhook", "url": f"https://localhost:{receiver.port}/x"})
    await a_channel(front, "inside-too", {"kind": "webhook", "url": "https://localhost/x"})
    rows = await notifications.tell(reader, [HELD])
    assert {row.channel: row.problem for row in rows} == {
        "inside": f"port {receiver.port} is none of 443",
        "inside-too": "localhost is not on the public internet",
    }
    assert receiver.heard == []


async def test_a_channel_goes_with_its_secret_and_its_name_is_free_again(
    front: Front, reader: Connections, receiver: Receiver, vault: OpenBaoProcess
) -> None:
    await a_webhook(front, receiver)
    twice = await front.call(
        "POST",
        "/notifications/channels",
        json={"name": "on-call", "target": {"kind": "slack", "url": "https://example.org/x"}},
    )
    assert (twice.status_code, twice.json()["type"]) == (409, "urn:vivesphere:problem:channel-taken")
    listed = (await front.call("GET", "/notifications/channels")).json()
    assert [(one["name"], one["host"], one["about"]) for one in listed] == [("on-call", "127.0.0.1", [])]
    assert (await front.call("DELETE", "/notifications/channels/on-call")).status_code == 204
    assert (await front.call("DELETE", "/notifications/channels/on-call")).status_code == 404
    assert (await front.call("GET", "/notifications/channels")).json() == []
    assert await notifications.tell(reader, [HELD]) == []
    await a_webhook(front, receiver)
    assert outcomes(await notifications.tell(reader, [HELD])) == [("on-call", "sent", 1)]
    noted = (await front.call("GET", "/logs", params={"subject": "on-call"})).json()["lines"]
    assert [line["action"] for line in noted] == ["notifications.add", "notifications.remove", "notifications.add"]


async def test_without_the_database_each_channel_is_still_tried(
    front: Front, reader: Connections, receiver: Receiver
) -> None:
    await a_webhook(front, receiver)
    await a_webhook(front, receiver, "only-runs", "run_failed")
    down = Alarm("part_down", "part_down postgres", "postgres is down")
    assert await notifications.tell_without_the_database(reader, down) == []
    assert [heard.said["title"] for heard in receiver.heard] == ["postgres is down"]


async def test_what_is_wrong_is_found_by_who_tells_and_the_morning_told(
    front: Front, reader: Connections, receiver: Receiver, sessions: Sessions
) -> None:
    """By its own role in the database, which reads what there is to tell and writes nothing else."""
    async with sessions.begin() as session:
        bots = await stored_bots(session, 2)
        [post] = await stored_posts(session, bots[0])
        await session.execute(
            text("UPDATE posts SET status = 'held', updated_at = app_now() WHERE id = :id"), {"id": post}
        )
        await session.execute(text("UPDATE bots SET state = 'needs_login' WHERE handle = 'bot_1'"))
    found = await alarms.look(reader)
    assert {(alarm.about, alarm.key) for alarm in found} == {
        ("post_held", "held"),
        ("credential_ending", "needs login"),
    }
    [morning] = await alarms.morning(reader)
    assert "2 things wait for a person" in morning.title
    await a_webhook(front, receiver)
    assert len(await notifications.tell(reader, [*found, morning])) == 3
    with pytest.raises(Exception, match="permission denied"):
        async with reader.transaction() as session:
            await session.execute(text("UPDATE posts SET status = 'scheduled'"))


async def test_a_test_of_a_channel_is_a_run_that_trusts_its_request_alone(
    front: Front, reader: Connections, receiver: Receiver
) -> None:
    assert (await front.call("POST", "/notifications/channels/none/test")).status_code == 404
    await a_webhook(front, receiver, "on-call", "part_down")
    async with PrefectStandIn().running(front.places) as prefect:
        started = (await front.call("POST", "/notifications/channels/on-call/test")).json()
        [run] = prefect.runs.values()
    assert run["parameters"] == {"run_request_id": started["request_id"]}
    tried = await alarms.of_request(reader, started["request_id"], started["flow_run_id"])
    assert tried is not None
    assert outcomes(await notifications.tell(reader, [tried.alarm], tried.channel)) == [("on-call", "sent", 1)]
    assert [heard.said["about"] for heard in receiver.heard] == ["test"]


@pytest.mark.promise("C1")
async def test_nothing_secret_of_a_channel_is_in_the_database_or_in_a_log(
    front: Front, reader: Connections, receiver: Receiver, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # The receiver's own, which stands for somebody else's program.
    logging.getLogger("uvicorn.access").disabled = True
    signing = await a_webhook(front, receiver)
    await a_channel(front, "gone", {"kind": "slack", "url": f"http://127.0.0.1:1/{SECRET}"})
    refused = await front.call(
        "POST", "/notifications/channels", json={"name": "x", "target": {"kind": "slack", "url": f"ftp://{SECRET}"}}
    )
    assert refused.status_code == 422 and SECRET not in refused.text
    await notifications.tell(reader, [HELD])
    async with sessions.begin() as session:
        tables = await session.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
                " AND has_table_privilege(oid, 'SELECT')"
            )
        )
        rows = [
            await session.execute(text(f"SELECT coalesce(json_agg(t)::text, '') FROM {table} AS t"))  # noqa: S608
            for table in tables.scalars()
        ]
        written = "".join(row.scalar_one() for row in rows)
    assert "3 x held" in written
    for secret in (SECRET, signing, signing.removeprefix("whsec_")):
        assert secret not in written
        assert secret not in caplog.text
