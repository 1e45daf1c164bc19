"""Tables as CSV, harmless in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# A spreadsheet takes text that begins so for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """A heading, then a line a row, each with its end; text that a spreadsheet would run as a formula gets a quote in
    front, None is empty."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for cells in (columns, *([_cell(row[name]) for name in columns] for row in rows)):
        writer.writerow(cells)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
