"""Values that people set while the stack runs, laid over what the sources of this machine say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from config import loading
from config.loading import Loaded, Origin
from config.settings import Settings


@dataclass(frozen=True)
class Ignored:
    """An override that is not in force, because this release does not take it; as a text, what is wrong and the fix."""

    said: str
    fix: str

    def __str__(self) -> str:
        return f"{self.said}; {self.fix}"


@dataclass(frozen=True)
class Overlaid:
    """What is in force, and what is not."""

    loaded: Loaded
    ignored: Sequence[Ignored]


def mark(key: str) -> str | None:
    """`wiring`, `policy` or `tuning`; None where there is no setting of this name."""
    field = dict(loading.fields(Settings)).get(key)
    return None if field is None else str(field.json_schema_extra["mark"])


def value(settings: Settings, key: str) -> Any:
    """The value of a dotted key as JSON has it."""
    found: Any = settings.model_dump(mode="json")
    for name in key.split("."):
        found = found[name]
    return found


def with_value(settings: Settings, key: str, wanted: Any) -> Settings:
    """The settings with one value replaced, held against the field's own type and bounds. Raises ValidationError."""
    service, _, name = key.partition(".")
    section = getattr(settings, service)
    checked = type(section).model_validate({**section.model_dump(), name: wanted})
    return settings.model_copy(update={service: checked})


def overlay(loaded: Loaded, overrides: Mapping[str, tuple[int, Any]]) -> Overlaid:
    """Lay revision and value by key over the settings; an override wins over environment and files.

    One that this release refuses is left out, and named: a bound that a release drew closer must keep nothing from
    starting.
    """
    settings, origins, ignored = loaded.settings, dict(loaded.origins), []
    for key, (revision, wanted) in sorted(overrides.items()):
        kind = mark(key)
        if kind not in ("policy", "tuning"):
            why = "there is no such setting any more" if kind is None else "it is wiring now"
            ignored.append(_ignored(key, revision, wanted, why))
            continue
        try:
            settings = with_value(settings, key, wanted)
        except ValidationError as error:
            ignored.append(_ignored(key, revision, wanted, error.errors()[0]["msg"]))
            continue
        origins[key] = Origin("override", f"revision {revision}")
    return Overlaid(Loaded(settings, origins), ignored)


def _ignored(key: str, revision: int, wanted: Any, why: str) -> Ignored:
    return Ignored(
        f"{key} = {wanted!r} of revision {revision} is ignored: {why}",
        f"`vivesphere settings set {key} VALUE` or `vivesphere settings set {key} --unset`",
    )
