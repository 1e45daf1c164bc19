"""`vivesphere settings`: look, set, take back, and what is said where a change is refused."""

import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.cli.conftest import Terminal

Sessions = async_sessionmaker[AsyncSession]


async def shown(stack: Terminal, key: str) -> dict[str, Any]:
    told = json.loads((await stack("settings", "show", key.partition(".")[0], "--json")).out)
    [found] = [one for one in told["settings"] if one["key"] == key]
    return {"revision": told["revision"], **{name: found[name] for name in ("value", "origin")}}


async def test_a_setting_is_shown_changed_and_taken_back(stack: Terminal) -> None:
    assert await shown(stack, "posting.batch") == {"revision": 0, "value": 100, "origin": "default"}
    done = await stack("settings", "set", "posting.batch", 50, "--reason", "one more try")
    assert (done.code, done.out + done.err) == (0, "posting.batch: 50, revision 1\n")
    assert await shown(stack, "posting.batch") == {"revision": 1, "value": 50, "origin": "override"}
    table = await stack("settings", "show", "posting")
    [line] = [line for line in table.out.splitlines() if line.startswith("posting.batch ")]
    assert line.split()[:3] == ["posting.batch", "50", "tuning"]
    assert (await stack("settings", "set", "posting.batch", "--unset")).code == 0
    assert (await shown(stack, "posting.batch"))["value"] == 100
    back = await stack("settings", "rollback", 1)
    assert "as at revision 1 again, which is revision 3 now" in back.out + back.err
    assert await shown(stack, "posting.batch") == {"revision": 3, "value": 50, "origin": "override"}
    told = json.loads((await stack("settings", "history", "posting", "--json")).out)
    assert [(one["revision"], one["old"], one["new"], one["reason"]) for one in told] == [
        (3, None, 50, None),
        (2, 50, None, None),
        (1, None, 50, "one more try"),
    ]
    assert "one more try" in (await stack("settings", "history")).out


async def test_a_change_that_is_refused_says_why_and_changes_nothing(stack: Terminal) -> None:
    for arguments, said in (
        (("posting.batch", "many"), "posting.batch: "),
        (("posting.bach", 5), "posting.bach: there is no such setting"),
        (("x.base_url", "https://elsewhere.example"), "x.base_url: wiring is set in the environment"),
        (("x.settle_seconds", 90), "policy is changed with a reason"),
        (("posting.batch", 50, "--if-revision", 7), "look again"),
    ):
        ended = await stack("settings", "set", *arguments)
        assert ended.code != 0, arguments
        assert said in ended.err, ended.err
    for arguments in (("posting.batch",), ("posting.batch", 5, "--unset")):
        ended = await stack("settings", "set", *arguments)
        assert (ended.code, "say a value, or --unset" in ended.err) == (2, True)
    assert await shown(stack, "posting.batch") == {"revision": 0, "value": 100, "origin": "default"}
    assert (await stack("settings", "set", "x.settle_seconds", 90, "--reason", "X took 70 s")).code == 0


async def test_what_this_release_refuses_is_named_below_the_table(stack: Terminal, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(text("INSERT INTO settings_revisions (revision, actor) VALUES (1, 'a release ago')"))
        await session.execute(text("INSERT INTO settings_changes (revision, key, new) VALUES (1, 'posting.gone', '5')"))
    told = await stack("settings", "show")
    assert "posting.gone = 5 of revision 1 is ignored: there is no such setting any more" in told.out + told.err
    assert (await stack("settings", "set", "posting.gone", "--unset")).code == 0
    told = await stack("settings", "show")
    assert "posting.gone" not in told.out + told.err
