"""Posts scheduled one by one and from a spreadsheet."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.cli.conftest import Terminal
from tests.makers import stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]
SOON = "2030-12-01T09:00+01:00"


@pytest.fixture
async def with_bots(stack: Terminal, sessions: Sessions) -> Terminal:
    """bot_0 and bot_1 may speak, in Vienna's time."""
    async with sessions.begin() as session:
        await stored_bots(session, 2, time_zone="Europe/Vienna")
    return stack


async def listed(cli: Terminal, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((await cli("posts", "list", "--json", *options)).out)
    return found


async def test_a_post_is_scheduled_shown_counted_and_cancelled(with_bots: Terminal) -> None:
    said = await with_bots("posts", "schedule", "--bot", "@bot_0", "--text", "Sunny", "--at", SOON, "--json")
    assert said.code == 0
    receipt = json.loads(said.out)
    assert receipt["result"] == "scheduled"
    shown = await with_bots("posts", "show", receipt["post_id"])
    assert "gate       revision 1 allowed" in shown.out
    assert (await with_bots("posts", "counts")).out.splitlines()[1].split() == ["scheduled", "1"]
    cancelled = await with_bots("posts", "cancel", receipt["post_id"])
    assert (cancelled.code, cancelled.out) == (0, f"{receipt['post_id']}: cancelled\n")
    again = await with_bots("posts", "cancel", receipt["post_id"])
    assert again.code == 1
    assert "the post is cancelled" in again.err


async def test_a_refusal_by_the_gate_ends_with_three_and_names_the_rule(
    with_bots: Terminal, sessions: Sessions
) -> None:
    said = await with_bots("posts", "schedule", "--bot", "bot_0", "--text", "x" * 281, "--at", SOON)
    assert said.code == 3
    assert said.err.startswith("refused: weighted-length: ")
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET label_confirmed_at = NULL, label_confirmed_by = NULL"))
    said = await with_bots("posts", "schedule", "--bot", "bot_0", "--text", "Sunny", "--at", SOON)
    assert (said.code, said.err.split(":")[1]) == (3, " account-undisclosed")
    assert await listed(with_bots) == []


@pytest.mark.parametrize(
    ("at", "code", "said"),
    [
        ("tomorrow", 2, "--at: 'tomorrow' is no time; write 2026-12-01 09:00"),
        ("2030-03-31 02:30", 2, "--at: 2030-03-31 02:30 does not exist in Europe/Vienna: clocks are put forward"),
        (
            "2030-10-27 02:30",
            0,
            "2030-10-27 02:30 comes twice in Europe/Vienna: the first is meant, 2030-10-27T02:30+02",
        ),
        ("2019-01-01T00:00Z", 3, "refused: due-in-the-past"),
    ],
)
async def test_a_time_that_is_none_or_two_is_said(with_bots: Terminal, at: str, code: int, said: str) -> None:
    ended = await with_bots("posts", "schedule", "--bot", "bot_0", "--text", "Sunny", "--at", at)
    assert ended.code == code
    assert ended.err.startswith(said)


async def test_a_bots_own_time_and_a_distance_are_understood(with_bots: Terminal) -> None:
    for at in ("2030-07-01 09:00", "+10m"):
        assert (await with_bots("posts", "schedule", "--bot", "bot_0", "--text", at, "--at", at)).code == 0
    by_text = {post["text"]: datetime.fromisoformat(post["due_at"]) for post in await listed(with_bots)}
    assert by_text["2030-07-01 09:00"] == datetime(2030, 7, 1, 9, tzinfo=timezone(timedelta(hours=2)))
    assert timedelta(minutes=9) < by_text["+10m"] - datetime.now(UTC) <= timedelta(minutes=10)


async def test_a_spreadsheet_gives_a_line_for_each_row_and_a_bad_one_stops_no_other(
    with_bots: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "posts.csv"
    rows = [
        "Bot;Text;At;External_ID;Expires_At",
        f"bot_0;Good one;{SOON};a1;",
        'bot_1;"Two',
        'lines; and a semicolon";2030-12-01 09:00;a2',
        ";;;;",
        f"bot_9;Nobody;{SOON};;",
        "bot_0;;2030-03-31 02:30;;",
        f"bot_0;{'x' * 281};{SOON};;",
        f"bot_0;Good one;{SOON};a1;2020-01-01",
        f"bot_0;too;many;fields;{SOON};6",
    ]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    ended = await with_bots("posts", "schedule", "--from", file)
    out, err = ended.out.splitlines(), ended.err.splitlines()
    assert ended.code == 1
    assert [line.rpartition(" ")[0] for line in out[:2]] == [f"{file}:2: scheduled", f"{file}:3: scheduled"]
    assert out[-1] == f"{file}: 2 scheduled, 2 refused, 3 invalid"
    assert err[0].startswith(f"{file}:6: refused: unknown-bot: there is no bot @bot_9")
    assert err[1] == (
        f"{file}:7: invalid: at: 2030-03-31 02:30 does not exist in Europe/Vienna: clocks are put forward that day; "
        "write 2030-03-31 01:30 or 2030-03-31 03:30; row: write a text, or name media to show"
    )
    assert err[2].startswith(f"{file}:8: refused: weighted-length")
    assert err[3].startswith(f"{file}:9: invalid: expires_at: '2020-01-01' is no time of a day")
    assert err[4].startswith(f"{file}:10: invalid: 6 fields where 5 columns are")
    assert {post["text"] for post in await listed(with_bots)} == {"Good one", "Two\r\nlines; and a semicolon"}


async def test_the_same_file_twice_schedules_nothing_twice(with_bots: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "posts.csv"
    file.write_text(f"bot,text,at,external_id\nbot_0,One,{SOON},a\nbot_0,Two,{SOON},b\n", encoding="utf-8")
    dry = await with_bots("posts", "schedule", "--from", file, "--dry-run")
    assert dry.out.splitlines()[-1] == f"{file}: 2 scheduled (dry run)"
    assert await listed(with_bots) == []
    first = json.loads((await with_bots("posts", "schedule", "--from", file, "--json")).out)
    second = json.loads((await with_bots("posts", "schedule", "--from", file, "--json")).out)
    assert [row["result"] for row in second] == ["unchanged", "unchanged"]
    assert [row["post_id"] for row in first] == [row["post_id"] for row in second]
    file.write_text(f"bot,text,at,external_id\nbot_0,Another,{SOON},a\n", encoding="utf-8")
    third = await with_bots("posts", "schedule", "--from", file)
    assert third.code == 1
    assert f"{file}:2: conflict" in third.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"bot,text\nx,y\n", "1: the column 'at' is missing; the columns are bot, text, at, external_id, template"),
        (b"bot,text,at,colour\n", "1: there is no column 'colour'; the columns are"),
        (b"bot,text,at,text\n", "1: the column 'text' stands twice"),
        (b"bot,text,at\nx,\xe9t\xe9,now\n", " byte 14 is not UTF-8; save it as 'CSV UTF-8' in your spreadsheet"),
        (b'bot,text,at\nx,y,now\nx,"never closed,now\n', "3: the quotes of this row do not match"),
    ],
)
async def test_a_file_that_cannot_be_used_says_why(
    with_bots: Terminal, tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "posts.csv"
    file.write_bytes(content)
    ended = await with_bots("posts", "schedule", "--from", file)
    assert ended.code == 2
    assert ended.err.startswith(f"{file}:{said}")


async def test_more_rows_than_a_batch_keep_their_order(with_bots: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "posts.csv"
    rows = "".join(f"bot_{at % 2},Post {at},{SOON},id-{at}\n" for at in range(1203))
    file.write_text(f"sep=,\nbot,text,at,external_id\n{rows}", encoding="utf-8")
    told = json.loads((await with_bots("posts", "schedule", "--from", file, "--json")).out)
    assert [row["line"] for row in told] == list(range(3, 1206))
    found = await listed(with_bots, "--limit", "2000")
    assert len({post["id"] for post in found}) == 1203
    by_id = {post["id"]: post["external_id"] for post in found}
    assert [by_id[row["post_id"]] for row in told] == [f"id-{at}" for at in range(1203)]


async def test_what_strangers_wrote_cannot_steer_the_terminal(with_bots: Terminal, sessions: Sessions) -> None:
    """The gate refuses such a text; what an older release let in is shown all the same."""
    nasty = "red \x1b[31m[bold]not bold[/bold] \u202egnirts"
    assert (await with_bots("posts", "schedule", "--bot", "bot_0", "--text", nasty, "--at", SOON)).code == 3
    async with sessions.begin() as session:
        bot = (await session.execute(text("SELECT id FROM bots WHERE handle = 'bot_0'"))).scalar_one()
        await stored_posts(session, bot, text=nasty)
    shown = await with_bots("posts", "list")
    assert "red  [31m[bold]not bold[/bold]  gnirts" in shown.out
    [post] = await listed(with_bots)
    assert post["text"] == nasty


async def test_filters_reach_the_api(with_bots: Terminal) -> None:
    for bot in ("bot_0", "bot_1"):
        await with_bots("posts", "schedule", "--bot", bot, "--text", bot, "--at", SOON)
    assert [post["bot"] for post in await listed(with_bots, "--bot", "bot_1")] == ["bot_1"]
    wrong = await with_bots("posts", "list", "--status", "lost")
    assert (wrong.code, wrong.err.startswith("query.status: ")) == (2, True)


async def test_more_than_one_text_is_a_thread_with_its_pictures_in_front(with_bots: Terminal, tmp_path: Path) -> None:
    picture = tmp_path / "rain.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    thread = ("--text", "One", "--text", "Two", "--media", picture, "--alt", "A wet street", "--external-id", "storm")
    dry = await with_bots("posts", "schedule", "--bot", "bot_0", *thread, "--at", SOON, "--dry-run")
    assert (dry.code, await listed(with_bots)) == (0, [])
    said = await with_bots("posts", "schedule", "--bot", "bot_0", *thread, "--at", SOON, "--json")
    assert (said.code, [receipt["result"] for receipt in json.loads(said.out)]) == (0, ["scheduled"] * 2)
    first, second = sorted(await listed(with_bots), key=lambda post: str(post["thread_place"]))
    assert first["thread_id"] == second["thread_id"] == first["id"]
    assert [(post["text"], post["media_count"], post["external_id"]) for post in (first, second)] == [
        ("One", 1, "storm/1"),
        ("Two", 0, "storm/2"),
    ]
    assert "shows      rain.png (image/png): A wet street" in (await with_bots("posts", "show", first["id"])).out
    again = await with_bots("posts", "schedule", "--bot", "bot_0", *thread, "--at", SOON)
    assert (again.code, again.out.count("unchanged")) == (0, 2)


async def test_a_file_that_x_would_not_take_is_named_and_nothing_is_scheduled(
    with_bots: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "words.png").write_text("hello", encoding="utf-8")
    said = await with_bots("posts", "schedule", "--bot", "bot_0", "--media", tmp_path / "words.png", "--at", SOON)
    assert said.code == 2
    assert "words.png: it is none of JPEG, PNG, WebP" in said.err
    missing = await with_bots("posts", "schedule", "--bot", "bot_0", "--media", tmp_path / "no.png", "--at", SOON)
    assert (missing.code, "cannot be read" in missing.err) == (2, True)
    assert await listed(with_bots) == []


async def test_a_spreadsheet_brings_threads_pictures_and_polls(with_bots: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    sheet = tmp_path / "week.csv"
    sheet.write_text(
        "bot,text,at,thread,media,alt,poll,poll_minutes,spread,if_late\n"
        f"bot_0,One,{SOON},storm,,,,,,\n"
        f"bot_0,Two,{SOON},storm,,,,,,\n"
        f"bot_1,,{SOON},,a.png|b.png,First|Second,,,10m,skip\n"
        f"bot_1,Rain?,{SOON},,,,yes|no,60,,next-window\n"
        f"bot_1,Broken,{SOON},,c.png,,,,soon,\n",
        encoding="utf-8",
    )
    said = await with_bots("posts", "schedule", "--from", sheet)
    assert said.code == 1
    assert f"{sheet}:6: invalid: spread: 'soon' is no length of time; write 90s, 10m, 2h or 1d" in said.err
    assert "media: " in said.err
    posts = {post["text"]: post for post in await listed(with_bots)}
    assert posts["Two"]["thread_place"] == 2
    assert (posts[""]["media_count"], posts[""]["misfire"], posts[""]["spread_seconds"]) == (2, "skip", 600)
    assert posts["Rain?"]["poll"] == {"options": ["yes", "no"], "duration_minutes": 60}
    assert posts["Rain?"]["misfire"] == "next_window"


async def test_a_post_is_changed_and_a_refused_change_says_why(with_bots: Terminal) -> None:
    said = await with_bots("posts", "schedule", "--bot", "bot_0", "--text", "Sunny", "--at", SOON, "--json")
    post_id = json.loads(said.out)["post_id"]
    changed = await with_bots("posts", "edit", post_id, "--text", "Rain", "--at", "2030-12-02 09:00", "--if-late", "1h")
    assert (changed.code, "revision 2" in changed.out) == (0, True)
    shown = await with_bots("posts", "show", post_id)
    assert "before     revision 1" in shown.out
    refused = await with_bots("posts", "edit", post_id, "--text", "x" * 281)
    assert (refused.code, "unchanged: weighted-length" in refused.err) == (3, True)
    assert (await with_bots("posts", "edit", post_id)).code == 2
