"""Log files that several processes write, and what never stands in them."""

import json
import logging
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import logs
from config.places import Places
from config.settings import Settings

WRITER = """
import logging, sys
from pathlib import Path
from config import logs
from config.places import Places
from config.settings import Logs, Settings
logs.configure(sys.argv[2], Places(Settings(home=Path(sys.argv[1]), logs=Logs(file_bytes=10_000, files_kept=100))))
for number in range(400):
    extra = {"subject": f"{sys.argv[2]}-{number}", "actor": "x" * 50}
    logging.getLogger("vivesphere.activity").info("line", extra=extra)
"""


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    names = ("", *(f"vivesphere.{category}" for category in logs.CATEGORIES))
    kept = {name: (list(logging.getLogger(name).handlers), logging.getLogger(name).level) for name in names}
    yield Places(Settings(home=tmp_path))
    for name, (handlers, level) in kept.items():
        logging.getLogger(name).handlers[:] = handlers
        logging.getLogger(name).setLevel(level)


def lines(places: Places, category: str) -> list[dict[str, object]]:
    files = places.logs.glob(f"{category}.jsonl*")
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_record_is_a_line_of_its_category_with_who_and_what(places: Places) -> None:
    logs.configure("tests", places)
    extra = {"actor": "ops", "action": "posts.cancel", "subject": "42", "details": {"bot": "one", "count": 3}}
    logging.getLogger("vivesphere.activity").info("posts.cancel 42", extra=extra)
    [line] = lines(places, "activity")
    assert {**line, **extra, "category": "activity", "program": "tests", "level": "info"} == line
    assert lines(places, "security") == lines(places, "debug") == []
    assert stat.S_IMODE((places.logs / "activity.jsonl").stat().st_mode) == 0o600


def test_a_library_speaks_in_the_debug_log_and_warnings_reach_the_console_too(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("tests", places)
    logging.getLogger("alembic.runtime").info("quiet")
    logging.getLogger("alembic.runtime").warning("loud")
    logging.getLogger("vivesphere.security").warning("a refusal")
    assert [line["message"] for line in lines(places, "debug")] == ["quiet", "loud"]
    assert capsys.readouterr().err == "WARNING alembic.runtime: loud\n"


def test_to_configure_twice_writes_every_line_once(places: Places) -> None:
    logs.configure("first", places)
    logs.configure("second", places)
    logging.getLogger("vivesphere.debug").info("once")
    assert [line["program"] for line in lines(places, "debug")] == ["second"]


@pytest.mark.promise("C1")
@pytest.mark.parametrize(
    "said",
    [
        "GET http://x/api/v1/auth/validate?token=planted-secret&x=1",
        "GET http://x/oauth/callback?state=planted-secret&code=planted-secret",
        "headers: {'Authorization': 'Bearer planted-secret'}",
        'headers: {"authorization": "Basic planted-secret"}',
        "form: client_secret=planted-secret&grant_type=x",
        '{"password": "planted-secret", "refresh_token": "planted-secret"}',  # pragma: allowlist secret
        "key 01a207ae-4a28-70f9-b98b-d2a4d0403d3a:planted-secret-of-some-length",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.planted-secret",  # pragma: allowlist secret
    ],
)
def test_what_looks_like_a_credential_is_hidden_wherever_it_stands(places: Places, said: str) -> None:
    logs.configure("tests", places)
    log = logging.getLogger("vivesphere.debug")
    details = {"text": said, "client_secret": "planted-secret", "list": [said]}  # pragma: allowlist secret
    log.info("said %s", said, extra={"details": details})
    try:
        raise ValueError(said)
    except ValueError:
        log.exception("failed")
    written = (places.logs / "debug.jsonl").read_text(encoding="utf-8")
    assert logs.HIDDEN in written
    assert "planted-secret" not in written


def test_plain_words_stay(places: Places) -> None:
    said = "the bot's state: active, code: 403, the vault holds no access token of this bot"
    assert logs.redact(said) == said


def test_a_request_of_httpx_leaves_no_address(places: Places) -> None:
    logs.configure("tests", places)
    logging.getLogger("httpx").info('HTTP Request: GET http://x/?token=planted-secret "200 OK"')
    assert lines(places, "debug") == []


def test_four_processes_rotate_one_file_and_lose_no_line(places: Places, tmp_path: Path) -> None:
    names = ("one", "two", "three", "four")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in names]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    found = Counter(line["subject"] for line in lines(places, "activity"))
    assert found == Counter(f"{name}-{number}" for name in names for number in range(400))
    assert len(list(places.logs.glob("activity.jsonl.*"))) > 10
