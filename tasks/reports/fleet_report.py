"""The report of a fleet: figures in; one HTML file, the Markdown of Prefect's page, and pictures out."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.reports import charts
from tasks.reports.charts import Bar
from tasks.reports.posting_run import escaped

# So many bots fit a picture and Prefect's page; the HTML file has them all.
BOTS_SHOWN = 20
TITLES = {
    "engagement": "Engagement rate by bot",
    "growth": "Followers",
    "cost": "Cost per 100 engagements",
}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def _percent(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def _interval(low: float | None, high: float | None) -> str:
    return "too few days" if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f} %"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


_templates.filters |= {"percent": _percent, "ratio": _ratio, "count": _count}
_templates.globals["interval"] = _interval


def pictures(figures: Mapping[str, Any]) -> dict[str, str]:
    """SVG by name: what there is something to draw of, in the order of the report."""
    found = {}
    period = f"posts of {figures['since']} to {figures['until']} (UTC) as they stood when they were a day old"
    rated = sorted((bot for bot in figures["bots"] if bot["rate"] is not None), key=lambda bot: -bot["rate"])
    if rated:
        some = f"the best {BOTS_SHOWN} of {len(rated)} bots; " if len(rated) > BOTS_SHOWN else ""
        rows = [Bar(f"@{one['bot']}", *_hundredfold(one)) for one in rated[:BOTS_SHOWN]]
        axis = f"% of views, with 95 % interval; {some}{period}"
        found["engagement"] = charts.bars(TITLES["engagement"], axis, rows, 2)
    for place, week in enumerate(figures["best_times"], start=1):
        found[f"best-times-{place}"] = charts.heat_map(
            f"Best times: {week['persona']}",
            "what a post achieves against the persona's average hour, in %; hours in each bot's own time zone"
            f" ({', '.join(week['zones'])})",
            week["lifts"],
            week["sure"],
        )
    if len(figures["followers"]) > 1:
        days = [date.fromisoformat(one["day"]) for one in figures["followers"]]
        numbers = [one["followers"] for one in figures["followers"]]
        found["growth"] = charts.line(
            TITLES["growth"], "followers of all these bots together, by UTC day", days, numbers
        )
    dear = sorted((bot for bot in figures["bots"] if bot["usd_per_100"]), key=lambda bot: -bot["usd_per_100"])
    if dear:
        rows = [Bar(f"@{one['bot']}", one["usd_per_100"]) for one in dear[:BOTS_SHOWN]]
        some = f"the dearest {BOTS_SHOWN} of {len(dear)} bots; " if len(dear) > BOTS_SHOWN else ""
        axis = f"USD that X charged for each 100 likes, reposts, replies, quotes and bookmarks gained; {some}UTC days"
        found["cost"] = charts.bars(TITLES["cost"], axis, rows, 2)
    return found


def _hundredfold(bot: Mapping[str, Any]) -> tuple[float, float | None, float | None]:
    low, high = bot["rate_low"], bot["rate_high"]
    return 100 * bot["rate"], None if low is None else 100 * low, None if high is None else 100 * high


def page(figures: Mapping[str, Any], drawn: Mapping[str, str]) -> str:
    """The whole report as one HTML file that asks for nothing else; every value is escaped."""
    return _templates.get_template("fleet_report.html.j2").render(**figures, pictures=drawn)


def summary(figures: Mapping[str, Any], address: str, names: Sequence[str]) -> str:
    """The report as Prefect's page shows it: tables, and pictures that the gateway serves under `address`."""
    total, bots = figures["total"], figures["bots"]
    lines = [
        f"# {escaped(figures['title'])}",
        f"{figures['since']} to {figures['until']} (UTC). [The whole report]({address}/page) as one file.",
        "",
        "| bots | posts | views | engaged | engagement rate | X charged |",
        "|---:|---:|---:|---:|---:|---:|",
        f"| {len(bots)} | {_count(total['posts'])} | {_count(total['impressions'])} | {_count(total['engaged'])}"
        f" | {_percent(total['rate'])} | {total['usd']:.2f} USD |",
        "",
    ]
    trouble = [bot for bot in bots if bot["verdict"] in ("limited", "below")]
    if trouble:
        lines += ["## Needs a look", "", "| bot | views against its own history | what to do |", "|---|---:|---|"]
        lines += [f"| @{escaped(one['bot'])} | {_percent(one['share'], 0)} | {one['advice']} |" for one in trouble]
        lines.append("")
    lines += [f"![{TITLES.get(name, 'Best times')}]({address}/pictures/{name}.svg)\n" for name in names]
    lines += ["## Bots", "", "| bot | posts | engagement rate | 95 % interval | followers | a week |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    lines += [
        f"| @{escaped(one['bot'])} | {_count(one['posts'])} | {_percent(one['rate'])}"
        f" | {_interval(one['rate_low'], one['rate_high'])} | {_count(one['followers'])} | {_percent(one['weekly'])} |"
        for one in bots[:BOTS_SHOWN]
    ]
    if len(bots) > BOTS_SHOWN:
        lines += ["", f"{len(bots) - BOTS_SHOWN} more bots stand in the whole report."]
    for name in ("sources", "templates"):
        lines += ["", f"## {name.capitalize()}", "", "| which | posts | rate | 95 % interval | against own bots |"]
        lines += ["|---|---:|---:|---:|---:|"]
        lines += [
            f"| {escaped(one['name'])} | {_count(one['posts'])} | {_percent(one['rate'])}"
            f" | {_interval(one['rate_low'], one['rate_high'])} | {_ratio(one['against'])}"
            f" ({_ratio(one['against_low'])} to {_ratio(one['against_high'])}) |"
            for one in figures[name]
        ]
    return "\n".join(lines) + "\n"
