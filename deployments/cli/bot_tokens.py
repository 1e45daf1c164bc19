"""Tokens of accounts as other programs kept them: a spreadsheet with a row an account, or one account's `.env`.

They are read from stdin alone, so that we leave no file with a secret; no message of ours repeats a value.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from deployments.cli.failures import USAGE, CommandError
from deployments.cli.problems import words
from tasks.domain.new_bots import NewBot

OAUTH2 = ("access_token", "refresh_token", "expires_in", "scope")
OAUTH1 = ("api_key", "api_key_secret", "access_token", "access_token_secret")
ABOUT = ("app", "operator_handle", "time_zone", "labels", "persona", "display_name", "description")
COLUMNS = ("bot", *dict.fromkeys((*OAUTH2, *OAUTH1)), *ABOUT)
# Between labels that stand in one cell.
BETWEEN = "|"
DELIMITERS = ",;\t"
# What programs that post by tweepy call their variables, without a prefix such as TWITTER_ or X_.
WRITTEN: Mapping[str, tuple[str, ...]] = {
    "api_key": ("API_KEY", "CONSUMER_KEY"),
    "api_key_secret": ("API_SECRET", "API_KEY_SECRET", "API_SECRET_KEY", "CONSUMER_SECRET"),
    "access_token": ("ACCESS_TOKEN", "ACCESS_KEY"),
    "access_token_secret": ("ACCESS_SECRET", "ACCESS_TOKEN_SECRET"),
    "refresh_token": ("REFRESH_TOKEN",),
}
VARIABLES = {variable: name for name, variables in WRITTEN.items() for variable in variables}
PREFIX = re.compile(r"^(?:TWITTER_|X_|TW_)?(?:OAUTH2?_)?(?:USER_)?")
ASSIGNMENT = re.compile(r"^(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)$")
QUOTES = "\"'"


def read_csv(text: str) -> dict[int, NewBot]:
    """Accounts by the line they stand on; raises CommandError, which names each problem by line and column."""
    lines = _records(text.removeprefix("\ufeff"))
    line, head = next(lines, (1, []))
    columns = [name.strip().lower() for name in head]
    _check(line, columns)
    found: dict[int, NewBot] = {}
    first: dict[str, int] = {}
    problems: list[str] = []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(columns):
            problems.append(
                f"line {line}, column {len(columns) + 1}: there are {len(columns)} columns, and more fields"
            )
            continue
        given = {name: cell.strip() for name, cell in zip(columns, cells, strict=False) if cell.strip()}
        bot, wrong = _account(given)
        problems += [
            f"line {line}, column {columns.index(name) + 1} ({name}): {said}"
            if name in columns
            else f"line {line}: the column '{name}' {said}"
            for name, said in wrong
        ]
        if bot is None:
            continue
        before = first.setdefault(bot.bot_name.lower(), line)
        if before != line:
            problems.append(f"line {line}, column {columns.index('bot') + 1} (bot): stands on line {before} already")
        found[line] = bot
    if problems:
        raise CommandError("\n".join(problems), USAGE)
    if not found:
        raise CommandError("stdin: there is no account in it: one row an account", USAGE)
    return found


def read_env(text: str, bot: str, about: Mapping[str, str]) -> dict[int, NewBot]:
    """The one account of a `.env`, on the line of its access token; variables of other things are passed over."""
    given: dict[str, str] = {"bot": bot, **about}
    lines: dict[str, int] = {}
    for line, written in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not written.strip() or written.lstrip().startswith("#"):
            continue
        assigned = ASSIGNMENT.match(written.strip())
        if assigned is None:
            raise CommandError(f"line {line}, column 1: is no assignment; write NAME=value", USAGE)
        name = VARIABLES.get(PREFIX.sub("", assigned[1].upper()))
        if name is None:
            continue
        if name in lines:
            raise CommandError(f"line {line}, column 1: says what line {lines[name]} says; keep one of them", USAGE)
        given[name], lines[name] = _value(assigned[2], line, written), line
    if "access_token" not in given:
        raise CommandError("stdin: there is no ACCESS_TOKEN in it", USAGE)
    found, wrong = _account(given)
    if found is None:
        where = [f"line {lines[name]}" if name in lines else "stdin" for name, _ in wrong]
        said = [f"{place}: {name}: {problem}" for place, (name, problem) in zip(where, wrong, strict=True)]
        raise CommandError("\n".join(said), USAGE)
    return {lines["access_token"]: found}


def _value(written: str, line: int, whole: str) -> str:
    if written[:1] in QUOTES and written:
        ended = written.find(written[0], 1)
        if ended < 0:
            raise CommandError(f"line {line}, column {whole.find(written) + 1}: the quote does not end", USAGE)
        return written[1:ended]
    return written.partition(" #")[0].strip()


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    head = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=head.count), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CommandError(f"line {line}: the quotes of this row do not match ({error})", USAGE) from None
        yield line, cells


def _check(line: int, columns: list[str]) -> None:
    known = ", ".join(COLUMNS)
    problems = [
        f"line {line}: the column '{name}' is missing; the columns are {known}"
        for name in ("bot", "access_token")
        if name not in columns
    ]
    for place, name in enumerate(columns, start=1):
        # What stands in the head may be a secret, where the head itself was forgotten.
        if name not in COLUMNS:
            problems.append(f"line {line}, column {place}: is none of our columns; they are {known}")
        elif name in columns[: place - 1]:
            problems.append(f"line {line}, column {place}: '{name}' stands twice")
    if problems:
        raise CommandError("\n".join(problems), USAGE)


def _account(given: Mapping[str, str]) -> tuple[NewBot | None, list[tuple[str, str]]]:
    """The account, or what is wrong with which column."""
    signs = any(given.get(name) for name in OAUTH1 if name != "access_token")
    kind, names = ("oauth1", OAUTH1) if signs else ("oauth2", OAUTH2)
    foreign = [name for name in (*OAUTH1, *OAUTH2) if name in given and name not in names]
    if foreign:
        return None, [(name, "belongs to OAuth 2, and the row has OAuth 1.0a credentials") for name in foreign]
    credentials = {"type": kind, **{name: given[name] for name in names if name in given}}
    about: dict[str, Any] = {name: given[name] for name in ABOUT if name in given}
    if "labels" in about:
        about["labels"] = [label.strip() for label in about["labels"].split(BETWEEN)]
    try:
        return NewBot.model_validate({"bot_name": given.get("bot", ""), "credentials": credentials, **about}), []
    except ValidationError as error:
        return None, [_problem(one) for one in error.errors(include_input=False, include_url=False)]


def _problem(error: Any) -> tuple[str, str]:
    named = [part for part in error["loc"] if isinstance(part, str) and part not in ("credentials", "oauth1", "oauth2")]
    name = named[0] if named else "bot"
    return ("bot" if name == "bot_name" else name), words(error, NewBot)
