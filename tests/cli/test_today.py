"""The morning from the command line: eighty columns, and an exit code that a cron job understands."""

import json
from pathlib import Path

from tests.cli.conftest import Terminal, bot_file


async def test_a_quiet_morning_ends_with_0_and_one_that_needs_a_person_with_4(stack: Terminal, tmp_path: Path) -> None:
    quiet = await stack("today")
    assert quiet.code == 0, quiet.err
    assert quiet.out.splitlines()[-1] == "nobody is needed"
    for number in range(7):
        bot_file(tmp_path / "bots", f"city_weather_{number}")
    await stack("bots", "import", tmp_path / "bots", "--yes", "--no-connect")
    busy = await stack("today")
    assert busy.code == 4
    assert "! needs login        7  @city_weather_0, @city_weather_1," in busy.out
    assert "and 2 more" in busy.out
    assert "-> vivesphere bots login HANDLE" in busy.out
    assert max(len(line) for line in busy.out.splitlines()) <= 80
    found = await stack("today", "--json")
    assert (found.code, json.loads(found.out)["person_needed"]) == (4, True)
    assert (await stack("today", "--label", "transit")).code == 0
    assert (await stack("today", "--since", "yesterday")).code == 2
