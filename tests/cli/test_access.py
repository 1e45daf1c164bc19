"""`vivesphere users | roles | keys`, and that every command is bound by the role of its key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from config import loading
from deployments.cli.main import COMMANDS as PROGRAM
from deployments.cli.main import load
from tasks.domain.roles import COMMANDS, Actor, Grant, Role
from tests.cli.conftest import Terminal

ID = "0193b3a0-0000-7000-8000-000000000000"
# One call of each kind; what they name does not exist, so that whoever is let in is told that.
CALLS = (
    ("bots list",),
    ("bots show", "nobody"),
    ("bots login", "nobody"),
    ("apps list",),
    ("personas list",),
    ("posts list",),
    ("posts show", ID),
    ("posts cancel", ID),
    ("users list",),
    ("users add", "somebody-else"),
    ("users offboard", "nobody"),
    ("roles list",),
    ("keys list",),
    ("audit list",),
)


def leaves(words: list[str], command: Any) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield " ".join(words)
        return
    for name, below in command.commands.items():
        yield from leaves([*words, name], below)


@pytest.mark.promise("A1")
def test_every_command_says_what_it_needs_or_touches_this_machine_alone() -> None:
    there = {words for name in PROGRAM for words in leaves([name], load(name))}
    local = {name for name, needed in COMMANDS.items() if needed is None}
    assert {words for words in there if not {words, words.split()[0]} & local} == set(COMMANDS) - local


@pytest.mark.promise("A2")
@pytest.mark.parametrize("role", get_args(Role))
async def test_a_command_does_what_the_role_of_its_key_allows(
    stack: Terminal, role: Role, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await stack("users", "add", "anna")).code == 0
    assert (await stack("roles", "assign", "anna", role, "--label", "weather")).code == 0
    made = await stack("keys", "create", "script", "--user", "anna")
    file = tmp_path / "anna.key"
    file.write_text(made.out, encoding="utf-8")
    monkeypatch.setenv("VIVESPHERE_GATEWAY__KEY_FILE", str(file))
    loading.load.cache_clear()
    actor = Actor("anna", "key", frozenset({Grant(role, "weather")}))
    for command, *arguments in CALLS:
        needed = COMMANDS[command]
        assert needed is not None
        ended = await stack(*command.split(), *arguments)
        assert (command, ended.code != 3) == (command, actor.may(needed)), ended.err


async def test_a_user_comes_is_given_a_role_and_leaves(stack: Terminal) -> None:
    added = await stack("users", "add", "anna")
    assert "/set-password?link=" in added.out
    assert (await stack("roles", "assign", "anna", "operator", "--label", "weather", "--ends", "2040-01-01")).code == 0
    listed = json.loads((await stack("roles", "list", "--user", "anna", "--json")).out)
    assert [(one["role"], one["label"]) for one in listed] == [("operator", "weather")]
    assert (await stack("users", "passwd", "anna", "--type", stdin="a lamp in every window\n")).code == 0
    assert (await stack("users", "passwd", "anna", "--type", stdin="short\n")).code == 2
    key = (await stack("keys", "create", "script", "--user", "anna", "--label", "weather")).out.strip()
    assert ":" in key
    shown = await stack("keys", "list", "--user", "anna")
    assert "script" in shown.out and key.partition(":")[2] not in shown.out
    gone = await stack("users", "offboard", "anna")
    assert "keys ended: script" in gone.out and "operator for weather" in gone.out
    assert "disabled" in (await stack("users", "list")).out
    last = await stack("users", "offboard", "admin")
    assert (last.code, "nobody who may do everything" in last.err) == (1, True)
