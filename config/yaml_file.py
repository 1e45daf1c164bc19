"""YAML that remembers where each value stands, so that a complaint can name file and line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]


class YamlFileError(ValueError):
    """A YAML file cannot be read; the message names file and line."""


@dataclass(frozen=True)
class YamlFile:
    """One parsed file: `data` as plain Python values, `lines` from key path to line number (from 1)."""

    path: Path
    data: Any
    lines: Mapping[KeyPath, int]

    def where(self, key_path: KeyPath) -> str:
        """`file:line` of a key path, or of the nearest parent that stands in the file."""
        while key_path and key_path not in self.lines:
            key_path = key_path[:-1]
        return f"{self.path}:{self.lines.get(key_path, 1)}"


def read(path: Path) -> YamlFile:
    """Read one YAML document; duplicate keys are refused, because the last one would win in silence."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise YamlFileError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise YamlFileError(f"{path}:{line}: {problem}") from error
    lines: dict[KeyPath, int] = {(): 1}
    data = None if node is None else _value(path, node, (), lines)
    return YamlFile(path, data, lines)


def _value(path: Path, node: yaml.Node, key_path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    lines.setdefault(key_path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = yaml.SafeLoader("").construct_object(key_node)
            here = (*key_path, key)
            if key in found:
                raise YamlFileError(f"{path}:{key_node.start_mark.line + 1}: '{key}' stands twice; remove one")
            lines[here] = key_node.start_mark.line + 1
            found[key] = _value(path, value_node, here, lines)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, item, (*key_path, at), lines) for at, item in enumerate(node.value)]
    return yaml.SafeLoader("").construct_object(node, deep=True)
