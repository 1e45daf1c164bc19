"""Charts: values in, SVG out. Text stays text, each value stands in a tooltip, and colours tell apart for everybody.

Colours are of the palette by Okabe and Ito; what the heat map says by colour it says by a number, too.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

BLUE, ORANGE, INK, FAINT = "#0072b2", "#d55e00", "#222222", "#d9d9d9"
WIDTH = 760
# An axis has about so many lines.
TICKS = 5
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS = 24
# The strongest colours of the heat map: half as good again, and two thirds as good.
LIFT_MOST = 1.5
NAME_CHARACTERS_MAX = 26


@dataclass(frozen=True)
class Bar:
    """A value by its name, and its 95 % interval where there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def bars(title: str, axis: str, rows: Sequence[Bar], digits: int) -> str:
    """A bar a row from above; `axis` says what they measure and in which unit, `digits` follow the point."""
    left, right, top, step = 190, 70, 70, 24
    most = max([max(row.value, row.high or 0) for row in rows], default=0) or 1.0
    height = top + step * len(rows) + 12
    unit = (WIDTH - left - right) / most

    def drawn() -> Iterator[str]:
        for tick in _ticks(0, most):
            at = left + tick * unit
            yield f'<path d="M{at:.1f} {top - 6}V{height - 8}" stroke="{FAINT}"/>'
            yield _text(at, top - 10, _number(tick, digits), "middle", size=11)
        for place, row in enumerate(rows):
            y = top + step * place
            interval = (
                ""
                if row.low is None or row.high is None
                else (f" (95 %: {_number(row.low, digits)} to {_number(row.high, digits)})")
            )
            yield f"<g><title>{escape(row.name)}: {_number(row.value, digits)}{interval}</title>"
            yield f'<rect x="{left}" y="{y + 3}" width="{row.value * unit:.1f}" height="{step - 8}" fill="{BLUE}"/>'
            end = row.value
            if row.low is not None and row.high is not None:
                low, high, end = left + row.low * unit, left + row.high * unit, max(row.value, row.high)
                yield _whisker(low, high, y + step / 2 - 1)
            yield _text(left - 8, y + step / 2 + 3, _short(row.name), "end")
            yield _text(left + end * unit + 6, y + step / 2 + 3, _number(row.value, digits), size=11)
            yield "</g>"

    return _picture(title, axis, height, drawn())


def heat_map(title: str, axis: str, lifts: Sequence[float], sure: Sequence[bool]) -> str:
    """The hours of a week, Monday 0 o'clock first: what each is worth against the average one, in per cent. Those that
    are `sure` to differ from it are printed bold."""
    left, top, wide, high = 52, 72, 29, 30
    height = top + high * len(WEEKDAYS) + 40

    def drawn() -> Iterator[str]:
        for hour in range(HOURS):
            yield _text(left + wide * (hour + 0.5), top - 6, f"{hour}", "middle", size=11)
        for day, name in enumerate(WEEKDAYS):
            yield _text(left - 8, top + high * (day + 0.5) + 4, name, "end")
        for slot, (lift, certain) in enumerate(zip(lifts, sure, strict=True)):
            day, hour = divmod(slot, HOURS)
            x, y, percent = left + wide * hour, top + high * day, round(100 * (lift - 1))
            colour, strong = _heat(lift)
            yield (
                f"<g><title>{WEEKDAYS[day]} {hour}:00: {percent:+d} %{', sure' if certain else ''}</title>"
                f'<rect x="{x}" y="{y}" width="{wide - 1}" height="{high - 1}" fill="{colour}"/>'
            )
            ink = "#ffffff" if strong else INK
            yield _text(x + wide / 2, y + high / 2 + 4, f"{percent:+d}", "middle", 10, ink, bold=certain) + "</g>"
        yield from _legend(left, height - 26)

    return _picture(title, axis, height, drawn())


def _legend(left: float, y: float) -> Iterator[str]:
    steps = (-33, -20, -10, 0, 10, 25, 50)
    for place, percent in enumerate(steps):
        colour, strong = _heat(1 + percent / 100)
        yield f'<rect x="{left + 44 * place}" y="{y}" width="43" height="16" fill="{colour}"/>'
        ink = "#ffffff" if strong else INK
        yield _text(left + 44 * place + 21, y + 12, f"{percent:+d} %", "middle", 10, ink)
    yield _text(left + 44 * len(steps) + 10, y + 12, "bold: its 95 % interval leaves out the average hour", size=11)


def line(title: str, axis: str, days: Sequence[date], values: Sequence[float]) -> str:
    """Values by day; the days follow one another."""
    left, right, top, bottom, height = 84, 24, 56, 34, 300
    least, most = min(values), max(values)
    span = (most - least) or max(1.0, abs(most) * 0.1)
    ground = max(0.0, least - span * 0.1)
    top_value = most + span * 0.1
    unit = (height - top - bottom) / (top_value - ground)
    step = (WIDTH - left - right) / max(1, len(days) - 1)
    points = [(left + step * place, height - bottom - (value - ground) * unit) for place, value in enumerate(values)]

    def drawn() -> Iterator[str]:
        for value in _ticks(ground, top_value):
            y = height - bottom - (value - ground) * unit
            yield f'<path d="M{left} {y:.1f}H{WIDTH - right}" stroke="{FAINT}"/>'
            yield _text(left - 8, y + 4, _number(value, 0), "end", size=11)
        every = max(1, math.ceil(len(days) / 8))
        for place in range(0, len(days), every):
            yield _text(points[place][0], height - bottom + 18, f"{days[place]:%d %b}", "middle", size=11)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{BLUE}" stroke-width="2"/>'
        for (x, y), day, value in zip(points, days, values, strict=True):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{BLUE}">'
            yield f"<title>{day:%Y-%m-%d}: {_number(value, 0)}</title></circle>"

    return _picture(title, axis, height, drawn())


def _picture(title: str, axis: str, height: float, drawn: Iterator[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title)}" font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
    )
    words = _text(8, 18, title, size=15, bold=True) + _text(8, 35, axis, size=12)
    return "".join([head, words, *drawn, "</svg>"])


def _text(
    x: float, y: float, words: str, anchor: str = "start", size: int = 12, ink: str = INK, bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{ink}"{weight}>{escape(words)}</text>'


def _whisker(low: float, high: float, y: float) -> str:
    return (
        f'<path d="M{low:.1f} {y:.1f}H{high:.1f}M{low:.1f} {y - 4:.1f}v8M{high:.1f} {y - 4:.1f}v8" '
        f'stroke="{INK}" stroke-width="1.5"/>'
    )


def _heat(lift: float) -> tuple[str, bool]:
    """Blue for better, orange for worse, white for the average hour; and whether it is dark."""
    strength = min(1.0, abs(math.log(lift)) / math.log(LIFT_MOST))
    full = BLUE if lift > 1 else ORANGE
    parts = (int(full[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * strength):02x}" for part in parts), strength > 0.8


def _ticks(least: float, most: float) -> list[float]:
    """Round numbers between two values."""
    rough = (most - least) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough)
    first, last = math.ceil(least / step - 1e-9), math.floor(most / step + 1e-9)
    return [step * place for place in range(first, last + 1)]


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS_MAX else f"{name[: NAME_CHARACTERS_MAX - 1]}…"
