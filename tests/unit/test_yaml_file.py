"""YAML that knows its lines."""

from datetime import date
from pathlib import Path

import pytest

from config import yaml_file
from config.yaml_file import YamlFileError

BOTS = """\
# two bots
- handle: vienna_weather
  languages: [de, en]
  windows:
    - from: "07:00"
      to: "21:00"

- handle: tram_28
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.yaml"


def refusal(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(YamlFileError) as caught:
        yaml_file.read(path)
    return str(caught.value)


def test_values_are_what_safe_yaml_makes_of_them(path: Path) -> None:
    path.write_text("a: 1\nb: 1.5\nc: yes\nd: ~\ne: 2026-11-23\nf: '1'\n", encoding="utf-8")
    assert yaml_file.read(path).data == {"a": 1, "b": 1.5, "c": True, "d": None, "e": date(2026, 11, 23), "f": "1"}


@pytest.mark.parametrize(
    ("key_path", "line"),
    [
        ((), 1),
        ((0,), 2),
        ((0, "handle"), 2),
        ((0, "languages", 1), 3),
        ((0, "windows", 0, "to"), 6),
        ((1, "handle"), 8),
    ],
)
def test_each_key_and_item_has_its_line(path: Path, key_path: yaml_file.KeyPath, line: int) -> None:
    path.write_text(BOTS, encoding="utf-8")
    assert yaml_file.read(path).where(key_path) == f"{path}:{line}"


def test_what_is_not_there_stands_where_its_parent_does(path: Path) -> None:
    path.write_text(BOTS, encoding="utf-8")
    assert yaml_file.read(path).where((1, "persona", "tone")) == f"{path}:8"
    assert yaml_file.read(path).where(("nothing",)) == f"{path}:1"


def test_an_empty_file_is_nothing(path: Path) -> None:
    path.write_text("# nothing yet\n", encoding="utf-8")
    assert yaml_file.read(path).data is None


def test_an_alias_is_what_it_stands_for(path: Path) -> None:
    path.write_text("a: &day [1, 2]\nb: *day\n", encoding="utf-8")
    assert yaml_file.read(path).data == {"a": [1, 2], "b": [1, 2]}


def test_a_key_that_stands_twice_is_refused_at_any_depth(path: Path) -> None:
    assert refusal(path, "a:\n  b: 1\n  c: 2\n  b: 3\n") == f"{path}:4: 'b' stands twice; remove one"


def test_what_is_no_yaml_is_named_with_its_line(path: Path) -> None:
    assert refusal(path, "a: 1\nb: [1, 2\nc: 3\n").startswith(f"{path}:3: ")
    assert refusal(path, "a: b: c\n").startswith(f"{path}:1: ")


@pytest.mark.parametrize(
    ("second_line", "why"),
    [
        ("b: !!python/object/apply:os.getcwd []", "tag:yaml.org,2002:python/object/apply:os.getcwd is not understood"),
        ("b: !!python/name:os.getcwd", "tag:yaml.org,2002:python/name:os.getcwd is not understood here"),
        ("b: {<<: {c: 1}}", "tag:yaml.org,2002:merge is not understood here"),
        ("b: 2026-13-45", "month must be in 1..12"),
        ("b: {[c, d]: 1}", "a key is a word or a number"),
        ("b: &b [1, *b]", "this contains itself"),
    ],
)
def test_what_is_more_than_plain_values_is_refused(path: Path, second_line: str, why: str) -> None:
    assert refusal(path, f"a: 1\n{second_line}\n").startswith(f"{path}:2: {why}")


def test_a_file_that_is_not_there_or_no_text_is_said(path: Path) -> None:
    with pytest.raises(YamlFileError, match="cannot be read"):
        yaml_file.read(path)
    path.write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(YamlFileError, match="cannot be read"):
        yaml_file.read(path)
