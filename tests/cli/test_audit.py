"""The audit from the command line."""

import json
from pathlib import Path

from tests.cli.conftest import Terminal, bot_file


async def test_changes_are_listed_searched_exported_and_checked(stack: Terminal, tmp_path: Path) -> None:
    bot_file(tmp_path / "bots")
    await stack("bots", "import", tmp_path / "bots", "--yes", "--no-connect")
    listed = await stack("audit", "list", "--action", "bots.*")
    assert listed.code == 0
    assert "bots.new" in listed.out
    assert "handle city_weather, labels weather" in listed.out
    found = json.loads((await stack("audit", "search", "CITY_WEATHER", "--json")).out)
    assert [(row["action"], row["bot"]) for row in found] == [("bots.new", "city_weather")]
    assert (await stack("audit", "list", "--since", "2200-01-01")).err == "there are no such changes\n"
    assert (await stack("audit", "list", "--since", "yesterday")).code == 2

    file = tmp_path / "audit.jsonl"
    assert (await stack("audit", "export", file)).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert (await stack("audit", "export", file)).err == f"{file} exists already: choose another name\n"
    for checked in (await stack("audit", "verify"), await stack("audit", "verify", file)):
        assert checked.out.splitlines()[-1].endswith("on grants only")
    file.write_bytes(b"\xff\xfe no text")
    broken = await stack("audit", "verify", file)
    assert broken.code == 1
    assert "docs/guide/audit.md" in broken.out + broken.err
    assert (await stack("audit", "verify", tmp_path / "none")).code == 1
    assert (await stack("audit", "verify", file, "--anchor", file)).code == 2
