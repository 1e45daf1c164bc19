"""The command against a real gateway on a real socket."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from config import loading
from config.places import Places
from deployments.cli.main import main
from deployments.gateway.app import create_app
from tests.gateway.conftest import places, vault  # noqa: F401
from tests.prefect_stand_in import PrefectStandIn, listening
from tests.waiting import until


@dataclass(frozen=True)
class Ended:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str


class Terminal:
    """Runs `vivesphere` in this process, in a thread, as a person without a terminal would."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    async def __call__(self, *arguments: object, stdin: str = "") -> Ended:
        self._monkeypatch.setattr("sys.stdin", StringIO(stdin))
        self._capsys.readouterr()

        def call() -> int:
            try:
                main([str(argument) for argument in arguments])
            except SystemExit as end:
                return int(end.code or 0)
            return 0

        code = await asyncio.to_thread(call)
        printed = self._capsys.readouterr()
        return Ended(code, printed.out, printed.err)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Terminal]:
    """The command, with nothing that answers."""
    monkeypatch.setenv("VIVESPHERE_HOME", str(tmp_path))
    loading.load.cache_clear()
    yield Terminal(capsys, monkeypatch)
    monkeypatch.undo()
    loading.load.cache_clear()


@pytest.fixture
async def stack(
    cli: Terminal,
    places: Places,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Terminal]:
    """The command, with a gateway that answers."""
    monkeypatch.setenv("VIVESPHERE_GATEWAY__PORT", str(places.settings.gateway.port))
    loading.load.cache_clear()
    app = create_app(places)
    async with listening(app, places.settings.gateway.port or 0):
        await until(lambda: app.state.opening.ready)
        yield cli


@pytest.fixture
async def prefect(places: Places) -> AsyncIterator[PrefectStandIn]:  # noqa: F811
    """Something that answers as Prefect's server does."""
    async with PrefectStandIn().running(places) as server:
        yield server


def bot_file(folder: Path, name: str = "city_weather", /, **given: Any) -> Path:
    """A bot file; `given` replaces whole lines by field."""
    fields = {
        "handle": name,
        "display_name": "City weather",
        "description": "Automated by @vive_ops",
        "operator_handle": "vive_ops",
        "time_zone": "Europe/Vienna",
        "labels": "[weather]",
        "automation_label": "{by: ops@example.org, confirmed_on: 2026-11-01}",
        "persona": f"{{name: Voice of {name}, tone: plain, interests: [weather], languages: [en]}}",
        **given,
    }
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    lines = [f"{field}: {value}" for field, value in fields.items() if value is not None]
    path.write_text("\n".join(lines) + os.linesep, encoding="utf-8")
    return path
