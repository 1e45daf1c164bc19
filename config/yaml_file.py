"""YAML that remembers where each value stands, so that a complaint can name file and line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]

MAPPING, SEQUENCE = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


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


def _value(
    path: Path, node: yaml.Node, key_path: KeyPath, lines: dict[KeyPath, int], above: tuple[yaml.Node, ...] = ()
) -> Any:
    lines.setdefault(key_path, node.start_mark.line + 1)
    if node in above:
        raise _refused(path, node, "this contains itself")
    above = (*above, node)
    if isinstance(node, yaml.MappingNode) and node.tag == MAPPING:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refused(path, key_node, "a key is a word or a number")
            key = _scalar(path, key_node)
            here = (*key_path, key)
            if key in found:
                raise _refused(path, key_node, f"'{key}' stands twice; remove one")
            lines[here] = key_node.start_mark.line + 1
            found[key] = _value(path, value_node, here, lines, above)
        return found
    if isinstance(node, yaml.SequenceNode) and node.tag == SEQUENCE:
        return [_value(path, item, (*key_path, at), lines, above) for at, item in enumerate(node.value)]
    return _scalar(path, node)


def _scalar(path: Path, node: yaml.Node) -> Any:
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except yaml.YAMLError as error:
        raise _refused(path, node, f"{node.tag} is not understood here") from error
    except ValueError as error:  # what looks like a date and is none
        raise _refused(path, node, str(error)) from error


def _refused(path: Path, node: yaml.Node, why: str) -> YamlFileError:
    return YamlFileError(f"{path}:{node.start_mark.line + 1}: {why}")
