"""What of a morning does not wait for it, and how it reads on each kind of channel."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.notifications.webhook import new_secret, signature
from tasks.domain import alarms
from tasks.domain.alarms import About, Alarm
from tasks.domain.notifications import (
    PAUSE_MOST,
    NewChannel,
    as_stored,
    email_parts,
    from_stored,
    pause,
    slack_body,
    wants,
    webhook_body,
)
from tasks.domain.today import Facts, Silence, Some, items

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def found(**facts: object) -> dict[str, Alarm]:
    return {alarm.key: alarm for alarm in alarms.of_facts(Facts(NOW, **facts))}  # type: ignore[arg-type]


def test_a_quiet_night_raises_nothing_and_what_settles_itself_neither() -> None:
    assert found(published=1000, refused=Some(3)) == {}
    assert found(late=Some(2, NOW - timedelta(seconds=30)), senders_alive=2) == {}
    assert found(doubtful={"unknown": Some(2, NOW - timedelta(minutes=3))}) == {}


def test_each_trouble_is_an_alarm_that_says_what_to_do() -> None:
    breaker = Silence("@city", "suspended, X said so", NOW, None)
    all_of_it = found(
        late=Some(2, NOW - HOUR),
        senders_alive=1,
        doubtful={"held": Some(3, NOW - HOUR), "unknown": Some(1, NOW - HOUR)},
        bots={"needs_login": Some(1, None, ("@city",))},
        breakers=[breaker, Silence("app main", "credits", NOW, None)],
        keys=Some(1, NOW + HOUR, ("ann/ci",)),
        tokens=Some(1, NOW - HOUR, ("@city",)),
    )
    assert {alarm.about for alarm in all_of_it.values()} == {
        "post_late",
        "post_held",
        "credential_ending",
        "breaker_open",
    }
    assert sum(alarm.about == "breaker_open" for alarm in all_of_it.values()) == 2, "each breaker is its own trouble"
    assert all(alarm.do and alarm.lines for alarm in all_of_it.values())


def test_a_breaker_keeps_its_key_while_x_is_asked_again() -> None:
    one, same = (
        Silence("@city", why, NOW, None) for why in ("suspended, X said so", "suspended, asked again: still so")
    )
    assert found(breakers=[one]).keys() == found(breakers=[same]).keys()


def test_the_same_trouble_keeps_its_key_while_its_numbers_change() -> None:
    assert found(doubtful={"held": Some(1, NOW)}).keys() == found(doubtful={"held": Some(9, NOW - HOUR)}).keys()


def test_the_morning_counts_what_waits_for_a_person() -> None:
    said = alarms.of_morning(items(Facts(NOW, published=7, doubtful={"held": Some(2, NOW)})), date(2026, 11, 25), "x")
    assert said.title == "2026-11-25: 1 things wait for a person"
    assert "went out: 7" in said.lines
    assert alarms.of_morning(items(Facts(NOW)), date(2026, 11, 25), "x").title == "2026-11-25: nobody is needed"


AN_ALARM = Alarm(
    "post_held", "held", "3 x <held>", ("a & b\x1b[31m\nSubject: x",), "vivesphere posts held", "http://g/"
)


def test_no_text_is_markup_or_a_line_of_its_own() -> None:
    assert json.loads(slack_body(AN_ALARM))["text"] == (
        "*3 x &lt;held&gt;*\na &amp; b [31m Subject: x\n-&gt; vivesphere posts held\nhttp://g/".replace(
            "-&gt;", "-&gt;"
        )
    )
    subject, text = email_parts(Alarm("test", "k", "one\nBcc: x@example.org"))
    assert "\n" not in subject
    assert "Bcc" in text


def test_a_program_reads_the_whole_alarm_and_knows_a_message_again() -> None:
    delivery_id = uuid4()
    body = webhook_body(delivery_id, AN_ALARM, NOW)
    assert body == webhook_body(delivery_id, from_stored(json.loads(json.dumps(as_stored(AN_ALARM)))), NOW)
    told = json.loads(body)
    assert (told["id"], told["about"], told["at"]) == (str(delivery_id), "post_held", NOW.isoformat())


def test_a_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # pragma: allowlist secret
    body = b'{"test": 2432232314}'
    given = "msg_p5jXN8AQM9LWM0D4loKWxJek"  # pragma: allowlist secret
    signed = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="  # pragma: allowlist secret
    assert signature(secret, given, 1614265330, body) == f"v1,{signed}"  # type: ignore[arg-type]
    assert new_secret() != new_secret()


@given(st.integers(1, 1000), st.floats(0.05, 60))
def test_pauses_grow_and_have_an_end(tries: int, first: float) -> None:
    seconds = timedelta(seconds=first)
    assert timedelta() < pause(tries, seconds) <= max(PAUSE_MOST, seconds)
    assert pause(tries + 1, seconds) >= pause(tries, seconds)


def test_a_channel_hears_of_everything_or_of_what_it_wants() -> None:
    assert wants([], AN_ALARM) and wants(["post_held"], AN_ALARM) and not wants(["run_failed"], AN_ALARM)
    assert set(alarms.ALARMING.values()) < set(get_args(About))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "https://",
        "https:///path",
        "https://u:p@example.org/",
        "https://exa mple.org/",
        "javascript:alert(1)",
    ],
)
def test_an_address_is_whole_and_holds_no_login(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        NewChannel.model_validate({"name": "x", "target": {"kind": "slack", "url": url}})
    assert url not in str(refused.value.errors(include_input=False, include_url=False))


def test_a_secret_does_not_show_in_what_is_printed() -> None:
    channel = NewChannel.model_validate(
        {"name": "x", "target": {"kind": "slack", "url": "https://example.org/planted"}}
    )
    assert "planted" not in repr(channel)


def test_a_run_is_told_by_its_name_and_not_by_what_it_said() -> None:
    told = alarms.of_run("a/b", "failed", "brave-otter", f"http://g/{UUID(int=1)}")
    assert (told.key, told.title) == ("run_failed a/b", "a/b failed")
