"""What rises, as people look at it: a table with the parts of each score, and a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.reports import charts
from tasks.reports.charts import Bar
from tasks.reports.posting_run import escaped

SHOWN = 20
PICTURE = "/api/v1/trends/rising.svg"


@dataclass(frozen=True)
class Line:
    """A trend that rises: what its score is made of, in words, and where it stands."""

    name: str
    score: float
    why: Sequence[str]
    sources: Sequence[str]
    is_fresh: bool = False


def summary(trends: int, rising: Sequence[Line]) -> str:
    """What a run's page shows."""
    fresh = sum(one.is_fresh for one in rising)
    lines = [f"{trends:,} trends stand on lists; {len(rising)} rise, {fresh} of them since this run."]
    if rising:
        lines += ["", "| | trend | score | why | on |", "|---|---|---:|---|---|"]
        lines += [
            f"| {'new' if one.is_fresh else ''} | {escaped(one.name)} | {one.score:.1f}"
            f" | {escaped('; '.join(one.why))} | {escaped(', '.join(one.sources))} |"
            for one in rising[:SHOWN]
        ]
        lines += ["", f"![What rises now]({PICTURE})"]
    lines += ["", "Insight only: nothing plans or posts by it. `vivesphere trends show NAME` says where one stood."]
    return "\n".join(lines)


def picture(rising: Sequence[Line]) -> str:
    """A bar for each trend that rises, as SVG."""
    rows = [Bar(one.name, one.score) for one in rising[:SHOWN]]
    return charts.bars("What rises", "score: standard deviations, and points for spread and novelty", rows, 1)
