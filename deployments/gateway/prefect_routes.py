"""Prefect's routes and what each of them does; what stands in no row is nobody's (A1).

The rows are in prefect_routes.csv. `class` says who may use a route: `public` is anybody, `closed` nobody; with
`approve|worker` either of the two rights is enough. A test compares the rows with the Prefect that is installed.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast, get_args

from starlette.routing import compile_path

TABLE = Path(__file__).with_name("prefect_routes.csv")

Class = Literal["public", "read", "operate", "approve", "worker", "admin", "closed"]
WEBSOCKET = "WS"


@dataclass(frozen=True)
class Route:
    """One row; a path that ends in `*` stands for everything below it."""

    method: str
    path: str
    classes: frozenset[Class]
    why: str

    @property
    def name(self) -> str:
        """As rules and logs call it."""
        return f"{self.method} {self.path}"

    @property
    def reads(self) -> bool:
        """True where nothing is changed, whatever the method."""
        return self.classes <= {"public", "read"}


@cache
def table() -> tuple[Route, ...]:
    """Every row; a class that nobody knows ends the program here and not at a request."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Route(row["method"], row["path"], _classes(row["class"]), row["why"]) for row in csv.DictReader(file)
        )


def find(method: str, path: str) -> Sequence[Route]:
    """Every row that a decoded path fits: Prefect serves one of them, so the caller has to have the right to each."""
    plain, patterns = _index()
    found = [plain[method, path]] if (method, path) in plain else []
    return [*found, *(route for pattern, route in patterns[method, _stem(path)] if pattern.fullmatch(path))]


def methods(path: str) -> Sequence[str]:
    """The methods that a path takes."""
    known = dict.fromkeys(route.method for route in table() if route.method != WEBSOCKET)
    return [method for method in known if find(method, path)]


_Patterns = Mapping[tuple[str, str], Sequence[tuple[re.Pattern[str], Route]]]


@cache
def _index() -> tuple[Mapping[tuple[str, str], Route], _Patterns]:
    plain: dict[tuple[str, str], Route] = {}
    patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = defaultdict(list)
    for route in table():
        if "{" in route.path or "*" in route.path:
            pattern, _, _ = compile_path(route.path.replace("*", "{rest:path}"))
            patterns[route.method, _stem(route.path)].append((pattern, route))
        else:
            plain[route.method, route.path] = route
    return plain, patterns


def _stem(path: str) -> str:
    """The first two words of a path, which hold no placeholder in any row of more than one word."""
    return "/".join(path.split("/", 3)[1:3]) if path.startswith("/api/") else path.split("/", 2)[1]


def _classes(text: str) -> frozenset[Class]:
    words = text.split("|")
    if not set(words) <= set(get_args(Class)):
        raise ValueError(f"{TABLE.name}: no such class as {text!r}")
    return frozenset(cast(list[Class], words))
