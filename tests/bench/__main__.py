"""`make bench`: prints one table, writes build/bench.json and docs/benchmarks.md."""

import argparse
import json
import os
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import posting
from tests.bench.figure import Figure

BENCHES: Mapping[str, Callable[[], list[Figure]]] = {"posting_1000_bots": posting.posting_1000_bots}
ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "build" / "bench.json"
PAGE = ROOT / "docs" / "benchmarks.md"


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(BENCHES))
    only = parser.parse_args().only
    figures = [figure for name, bench in BENCHES.items() if only in (None, name) for figure in bench()]
    known = {record["name"]: record for record in _kept()}
    known |= {figure.name: figure.record() for figure in figures}
    RECORDS.parent.mkdir(exist_ok=True)
    RECORDS.write_text(json.dumps(list(known.values()), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(_page(figures), encoding="utf-8")
    _print(figures)


def _kept() -> list[dict[str, object]]:
    return list(json.loads(RECORDS.read_text(encoding="utf-8"))) if RECORDS.exists() else []


def _row(figure: Figure) -> list[str]:
    limit = "" if figure.limit is None else f"{figure.limit:.3f}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return [figure.name, f"{figure.ours:.3f}", limit, figure.unit, ratio, figure.goal]


HEAD = ["figure", "ours", "limit", "unit", "ratio", "goal"]


def _print(figures: list[Figure]) -> None:
    table = Table(*HEAD)
    for figure in figures:
        table.add_row(*_row(figure))
        for name, value in figure.beside.items():
            table.add_row(f"  {name}", f"{value:.3f}", "", figure.unit, "", "")
    Console().print(table)


def _page(figures: list[Figure]) -> str:
    lines = [
        "# Benchmarks\n\n",
        f"`make bench` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}. Medians of paired runs; limit and ours come from "
        "the same run.\n\n",
        "| " + " | ".join(HEAD) + " |\n",
        "|---|---|---|---|---|---|\n",
    ]
    for figure in figures:
        lines.append("| " + " | ".join(_row(figure)) + " |\n")
        lines += [f"| {name} | {value:.3f} | | {figure.unit} | | |\n" for name, value in figure.beside.items()]
    lines += [f"\n{figure.name}: {figure.note}\n" for figure in figures if figure.note]
    return "".join(lines)


if __name__ == "__main__":
    main()
