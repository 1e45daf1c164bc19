"""Reads the settings and remembers where each value came from."""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource
from pydantic_settings import SettingsError as PydanticSettingsError

from config import yaml_file
from config.settings import Settings

PREFIX = "VIVESPHERE_"
ENV_FILE_VARIABLE = "VIVESPHERE_ENV_FILE"
SETTINGS_FILE_VARIABLE = "VIVESPHERE_SETTINGS_FILE"

_checkout = Path(__file__).resolve().parent.parent
# A wheel has no checkout around it: there the working folder is the project.
APP_ROOT = _checkout if (_checkout / "pyproject.toml").exists() else Path.cwd()


class SettingsError(ValueError):
    """The settings cannot be used; each problem is one line that says what, where and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Origin:
    """Where a value came from: `kind` is environment, .env, yaml, layout or default; `where` names the place."""

    kind: str
    where: str


@dataclass(frozen=True)
class Loaded:
    """The settings, and the origin of each that is not a default, by dotted key."""

    settings: Settings
    origins: Mapping[str, Origin]

    def origin(self, key: str) -> Origin:
        """Where the value of `key` (dotted) came from."""
        return self.origins.get(key, Origin("default", "default"))


@dataclass(frozen=True)
class _Source:
    kind: str
    values: dict[str, Any]
    places: Mapping[str, str]

    def where(self, key: str) -> str:
        return self.places.get(key, self.kind)


@cache
def load() -> Loaded:
    """The settings of this process, read once; `load.cache_clear()` reads them again."""
    return read(dict(os.environ))


def settings() -> Settings:
    """The settings of this process."""
    return load().settings


def of_home(home: Path) -> Settings:
    """The settings as the stack in another home would have them."""
    return read({**os.environ, f"{PREFIX}HOME": str(home)}).settings


def read(environment: Mapping[str, str]) -> Loaded:
    """Read every source; raises SettingsError with one line for each problem."""
    sources = list(_sources(environment))
    merged: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for source in reversed(sources):
        for key, value in leaves(source.values):
            _put(merged, key, value)
            origins[key] = Origin(source.kind, source.where(key))
    problems = _unknown(environment)
    try:
        found = Settings(**merged)
    except ValidationError as error:
        problems += [_explain(problem, origins) for problem in error.errors()]
        raise SettingsError(problems) from error
    if problems:
        raise SettingsError(problems)
    known = {key for key, _ in fields(Settings)}
    return Loaded(found, {key: origin for key, origin in origins.items() if key in known})


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and pydantic FieldInfo of every leaf of the tree, in order."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every leaf of a nested mapping."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _sources(environment: Mapping[str, str]) -> Iterator[_Source]:
    """Strongest first."""
    own = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    from_environment = _environment_source(own, "environment", "environment {name}")
    yield from_environment
    env_file = Path(environment.get(ENV_FILE_VARIABLE, APP_ROOT / ".env"))
    from_env_file = _env_file_source(env_file)
    yield from_env_file
    settings_file = Path(environment.get(SETTINGS_FILE_VARIABLE, APP_ROOT / "config" / "vivesphere.yaml"))
    from_yaml = _yaml_source(settings_file)
    yield from_yaml
    home = next(
        (source.values["home"] for source in (from_environment, from_env_file, from_yaml) if "home" in source.values),
        Settings.model_fields["home"].default,
    )
    yield _layout_source(APP_ROOT / home)


def _environment_source(variables: Mapping[str, str], kind: str, place: str) -> _Source:
    reader = EnvSettingsSource(Settings)
    reader.env_vars = {name.lower(): value for name, value in variables.items()}
    values = _values(reader, {name: place.format(name=name) for name in variables})
    return _Source(kind, values, {_key(name): place.format(name=name) for name in variables})


def _env_file_source(path: Path) -> _Source:
    if not path.exists():
        return _Source(".env", {}, {})
    variables = {name: value for name, value in dotenv_values(path).items() if name.startswith(PREFIX)}
    values = _values(DotEnvSettingsSource(Settings, env_file=path), {name: _line_in(path, name) for name in variables})
    unknown = [name for name in variables if _key(name).split(".")[0] not in Settings.model_fields]
    if unknown:
        raise SettingsError([_unknown_line(_line_in(path, name), _key(name)) for name in unknown])
    return _Source(".env", values, {_key(name): f"{_line_in(path, name)} {name}" for name in variables})


def _values(reader: EnvSettingsSource, places: Mapping[str, str]) -> dict[str, Any]:
    try:
        found = reader()
    except PydanticSettingsError as error:
        # It names the section alone; only a variable for a whole section is read as JSON.
        raise SettingsError(
            [
                f'{place}: a section is written as JSON, like {{"batch": 50}}; or name one setting: {name}__...'
                for name, place in places.items()
                if f'"{_key(name)}"' in str(error)
            ]
        ) from error
    return {name: value for name, value in found.items() if name in Settings.model_fields}


def _yaml_source(path: Path) -> _Source:
    if not path.exists():
        return _Source("yaml", {}, {})
    try:
        file = yaml_file.read(path)
    except yaml_file.YamlFileError as error:
        raise SettingsError([str(error)]) from error
    if file.data is None:
        return _Source("yaml", {}, {})
    if not isinstance(file.data, dict):
        raise SettingsError([f"{path}:1: a mapping of settings is expected here"])
    return _Source(
        "yaml", file.data, {".".join(map(str, key)): f"{path}:{line}" for key, line in file.lines.items() if key}
    )


def _layout_source(home: Path) -> _Source:
    path = home / "layout.json"
    if not path.exists():
        return _Source("layout", {}, {})
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(
            [f"{path}: not valid JSON; delete it, and the next `vivesphere up` chooses ports"]
        ) from error
    return _Source("layout", values, {key: str(path) for key, _ in leaves(values)})


def _line_in(path: Path, name: str) -> str:
    for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip().removeprefix("export ").strip().partition("=")[0].strip() == name:
            return f"{path}:{at}"
    return str(path)


def _key(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace("__", ".")


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        below = tree.setdefault(parent, {})
        tree = below if isinstance(below, dict) else tree
    tree[last] = value


def _unknown(environment: Mapping[str, str]) -> list[str]:
    """Variables with our prefix whose first word is no section; a wrong second word is pydantic's to find."""
    locators = {ENV_FILE_VARIABLE, SETTINGS_FILE_VARIABLE}
    return [
        _unknown_line(f"environment {name}", _key(name))
        for name in environment
        if name.startswith(PREFIX) and name not in locators and _key(name).split(".")[0] not in Settings.model_fields
    ]


def _unknown_line(where: str, key: str) -> str:
    near = difflib.get_close_matches(key, [known for known, _ in fields(Settings)], n=1)
    hint = f"did you mean {near[0]}?" if near else "`vivesphere config show` lists all settings"
    return f"{where}: there is no setting '{key}'; {hint}"


def _explain(problem: Any, origins: Mapping[str, Origin]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    origin = origins.get(key)
    if origin is None:
        origin = next((found for name, found in origins.items() if name.startswith(f"{key}.")), Origin("", key))
    if problem["type"] == "extra_forbidden":
        return _unknown_line(origin.where, key)
    bounds = next((_bounds(field) for name, field in fields(Settings) if name == key), "")
    return f"{origin.where}: {key} = {problem['input']!r}: {problem['msg']}{bounds}"


def _bounds(field: Any) -> str:
    least = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    most = next((item.le for item in field.metadata if hasattr(item, "le")), None)
    return "" if least is None or most is None else f"; write a value from {least} to {most}"
