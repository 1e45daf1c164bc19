"""Bot files: YAML, one bot a file, every problem with its file and line."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config import yaml_file
from config.yaml_file import YamlFile, YamlFileError
from deployments.cli.failures import USAGE, CommandError
from deployments.cli.problems import words
from tasks.domain.personas import Bot


def read(folder: Path) -> list[Bot]:
    """Every bot of a folder (or of one file), by file name; raises CommandError with every problem of all files."""
    paths = [folder] if folder.is_file() else sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not paths:
        raise CommandError(
            f"{folder}: there are no bot files here; write one, such as {folder}/city_weather.yaml", USAGE
        )
    found: list[tuple[YamlFile, Bot]] = []
    problems: list[str] = []
    for path in paths:
        try:
            file = yaml_file.read(path)
            found.append((file, _bot(file)))
        except YamlFileError as error:
            problems.append(str(error))
        except ValidationError as error:
            problems += [_line(file, problem) for problem in error.errors()]
    problems += _twice(found)
    if problems:
        raise CommandError("\n".join(problems), USAGE)
    return [bot for _, bot in found]


def _bot(file: YamlFile) -> Bot:
    if not isinstance(file.data, dict):
        raise YamlFileError(f"{file.path}:1: a bot is a mapping of fields; start with `handle: ...`")
    return Bot.model_validate(file.data)


def _line(file: YamlFile, problem: Any) -> str:
    location = tuple(problem["loc"])
    name = ".".join(str(part) for part in location) or "the bot"
    return f"{file.where(location)}: {name}: {words(problem, Bot)}"


def _twice(found: list[tuple[YamlFile, Bot]]) -> list[str]:
    """One handle in two files, and one persona's name for two voices."""
    problems = []
    handles: dict[str, YamlFile] = {}
    voices: dict[str, tuple[YamlFile, Bot]] = {}
    for file, bot in found:
        first = handles.setdefault(bot.handle.lower(), file)
        if first is not file:
            problems.append(
                f"{file.where(('handle',))}: handle: @{bot.handle} stands in {first.where(('handle',))} too; remove one"
            )
        other, speaker = voices.setdefault(bot.persona.name, (file, bot))
        if speaker.persona != bot.persona:
            problems.append(
                f"{file.where(('persona', 'name'))}: persona.name: '{bot.persona.name}' is written differently in "
                f"{other.where(('persona', 'name'))}; give one another name"
            )
    return problems
