"""The log from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Terminal, bot_file
from tests.waiting import until


def in_background(file: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-u", "-c", "from deployments.cli.main import main; main()", *arguments]
    with file.open("wb") as written:
        return subprocess.Popen(program, stdout=written, env=os.environ)


async def test_the_log_is_searched_and_followed(stack: Terminal, tmp_path: Path) -> None:
    bot_file(tmp_path / "bots")
    await stack("bots", "import", tmp_path / "bots", "--yes", "--no-connect")
    listed = await stack("logs", "--category", "activity", "--actor", "admin/*", "--subject", "city_*")
    assert (listed.code, "bots.new" in listed.out) == (0, True)
    found = json.loads((await stack("logs", "--text", "CITY_WEATHER", "--json")).out)
    assert [(line["action"], line["origin"]) for line in found] == [("bots.new", "audit")]
    assert (await stack("logs", "--since", "2200-01-01")).err == "there are no such lines\n"
    assert (await stack("logs", "--until", "yesterday")).code == 2

    file = tmp_path / "followed"
    following = in_background(file, "logs", "--follow", "--json")
    try:
        await until(lambda: "bots.new" in file.read_text(), 60)
        bot_file(tmp_path / "bots", "tram_line_9")
        await stack("bots", "import", tmp_path / "bots", "--yes", "--no-connect")
        await until(lambda: "tram_line_9" in file.read_text(), 60)
    finally:
        following.terminate()
        following.wait()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    keys = [(line["origin"], line["id"]) for line in lines]
    assert len(set(keys)) == len(keys)
    assert [line["subject"] for line in lines if line["action"] == "bots.new"] == ["city_weather", "tram_line_9"]
