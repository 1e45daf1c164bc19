"""Pictures say what the values say: read back from the SVG, whatever the names are."""

from datetime import date, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reports.charts import Bar, bars, heat_map, line
from tasks.reports.tables import csv_lines

SVG = "{http://www.w3.org/2000/svg}"
values = st.just(0.0) | st.floats(1e-6, 1e7)


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314  # made in this test


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in drawn(svg).iter(f"{SVG}text")]


@given(st.lists(values, min_size=1, max_size=30))
def test_bars_are_as_long_as_what_they_stand_for(given_values: list[float]) -> None:
    svg = bars("title", "USD", [Bar(f"@bot_{place}", value) for place, value in enumerate(given_values)], 2)
    lengths = [float(group.find(f"{SVG}rect").get("width")) for group in drawn(svg).iter(f"{SVG}g")]  # type: ignore[union-attr,arg-type]
    most = max(given_values)
    for length, value in zip(lengths, given_values, strict=True):
        assert length == pytest.approx((760 - 190 - 70) * value / most if most else 0, abs=0.1)


def test_an_interval_is_drawn_and_told_and_the_unit_stands_above() -> None:
    svg = bars("Rate", "% of views", [Bar("@a", 2.0, 1.5, 2.5), Bar("@b", 1.0)], 2)
    titles = [one.text for one in drawn(svg).iter(f"{SVG}title")]
    assert titles == ["@a: 2.00 (95 %: 1.50 to 2.50)", "@b: 1.00"]
    assert texts(svg)[:2] == ["Rate", "% of views"]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=40))
def test_whatever_a_name_says_it_stays_text(name: str) -> None:
    root = drawn(bars(name, name, [Bar(name, 1.0)], 0))
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {"svg", "rect", "text", "path", "g", "title"}
    assert root.get("aria-label") == name


def test_the_week_is_blue_where_better_orange_where_worse_and_says_it_in_numbers() -> None:
    lifts = [1.0] * 168
    lifts[24 + 9], lifts[6 * 24 + 3] = 1.6, 0.6
    root = drawn(heat_map("Best times", "in %", lifts, [lift != 1.0 for lift in lifts]))
    cells = {group.find(f"{SVG}title").text: group for group in root.iter(f"{SVG}g")}  # type: ignore[union-attr]
    assert len(cells) == 168
    assert cells["Tue 9:00: +60 %, sure"].find(f"{SVG}rect").get("fill") == "#0072b2"  # type: ignore[union-attr]
    assert cells["Sun 3:00: -40 %, sure"].find(f"{SVG}rect").get("fill") == "#d55e00"  # type: ignore[union-attr]
    assert cells["Mon 0:00: +0 %"].find(f"{SVG}rect").get("fill") == "#ffffff"  # type: ignore[union-attr]
    assert cells["Tue 9:00: +60 %, sure"].find(f"{SVG}text").get("font-weight") == "bold"  # type: ignore[union-attr]


@given(st.lists(values, min_size=2, max_size=60))
def test_a_line_has_a_point_a_day_within_the_picture(given_values: list[float]) -> None:
    days = [date(2026, 11, 1) + timedelta(days=place) for place in range(len(given_values))]
    root = drawn(line("Followers", "by UTC day", days, given_values))
    points = list(root.iter(f"{SVG}circle"))
    assert len(points) == len(given_values)
    assert all(50 <= float(one.get("cy", "")) <= 300 - 30 for one in points)


def test_no_text_of_a_table_is_a_formula() -> None:
    rows = [{"bot": "=cmd|' /C calc'!A0", "n": -3}, {"bot": 'a "b", c', "n": None}]
    assert list(csv_lines(rows, ("bot", "n"))) == ["bot,n\n", "'=cmd|' /C calc'!A0,-3\n", '"a ""b"", c",\n']
