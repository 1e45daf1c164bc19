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

from tests.bench import (
    audit,
    best_times,
    gateway,
    growth,
    lanes,
    lateness,
    metrics,
    near_duplicates,
    planning,
    posting,
    rewrap,
    sandbox,
    trends,
)
from tests.bench.figure import Figure

BENCHES: Mapping[str, Callable[[], list[Figure]]] = {
    "audit_appends_per_second": audit.audit_appends_per_second,
    "best_times_error": best_times.best_times_error,
    "plan_200_bots_month_seconds": planning.plan_200_bots_month,
    "gateway_added_p50_ms": gateway.gateway_added_p50_ms,
    "lanes_tls": lanes.lanes_tls,
    "lateness_p99_ms": lateness.lateness_p99_ms,
    "metrics_100k_posts": metrics.metrics_100k_posts,
    "metrics_year_of_rollups": metrics.metrics_year_of_rollups,
    "near_duplicate_p50_ms": near_duplicates.near_duplicate_p50_ms,
    "posting_cost_10_to_10000_bots": growth.posting_cost_10_to_10000_bots,
    "posting_1000_bots": posting.posting_1000_bots,
    "rewrap_10k_records": rewrap.rewrap_10k_records,
    "sandbox_posts_per_second": sandbox.sandbox_posts_per_second,
    "trends_1m_observations": trends.trends_1m_observations,
}
ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "build" / "bench.json"
PAGE = ROOT / "docs" / "benchmarks.md"
HEADING = """# Benchmarks

`make bench` writes this page. Ours and the limit come from the same run, medians of paired runs where there are pairs;
each section says when and where it was measured last.
"""


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
    PAGE.write_text(_page(PAGE.read_text(encoding="utf-8") if PAGE.exists() else "", figures), encoding="utf-8")
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
        for name, value, unit in figure.rows_beside():
            table.add_row(f"  {name}", f"{value:.3f}", "", unit, "", "")
    Console().print(table)


def _page(known: str, figures: list[Figure]) -> str:
    """The page with a section a figure, in the order of their names; a figure not measured now keeps its section."""
    sections = {section.partition("\n")[0]: section.partition("\n")[2].strip() for section in known.split("\n## ")[1:]}
    sections |= {figure.name: _section(figure) for figure in figures}
    return HEADING + "".join(f"\n## {name}\n\n{sections[name]}\n" for name in sorted(sections))


def _section(figure: Figure) -> str:
    rows = [
        _row(figure)[1:],
        *([f"{value:.3f} ({name})", "", unit, "", ""] for name, value, unit in figure.rows_beside()),
    ]
    lines = [
        "| " + " | ".join(HEAD[1:]) + " |",
        "|" + "---|" * len(HEAD[1:]),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}. {figure.note}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
