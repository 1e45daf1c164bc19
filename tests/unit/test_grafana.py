"""Dashboard and alerts speak of figures that the gateway tells, by labels that these have."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from config.loading import APP_ROOT
from deployments.gateway.prometheus import METRICS
from tests.promtool import promtool

FOLDER = APP_ROOT / "deployments" / "grafana"
RULES_TEST = APP_ROOT / "tests" / "unit" / "data" / "alerts_test.yaml"
FUNCTIONS = {"absent", "histogram_quantile", "increase", "max", "min", "rate", "sum", "time"}
SELECTION = re.compile(r"(\w+)\{([^}]*)\}")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
TEXT = re.compile(r'"[^"]*"')
WORD = re.compile(r"(?<![\w.])[a-zA-Z_]\w*(\s*\()?")


def exported() -> Mapping[str, set[str]]:
    """Every series that can be there, and its labels."""
    found: dict[str, set[str]] = {}
    for figure in METRICS:
        labels = set(figure.labels)
        if figure.kind == "histogram":
            found |= {f"{figure.name}_bucket": labels | {"le"}, f"{figure.name}_sum": labels}
            found[f"{figure.name}_count"] = labels
        else:
            found[figure.exported] = labels
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def problems(expression: str) -> set[str]:
    """Words of an expression that nobody knows, and labels that its figures do not have."""
    known = exported()
    names = {word.group().strip() for word in WORD.finditer(TEXT.sub("", _without_labels(expression)))}
    figures = {name for name in names if not name.endswith("(")}
    wrong = {name.rstrip("( ") for name in names if name.endswith("(")} - FUNCTIONS | figures - set(known)
    for name, labels in SELECTION.findall(expression):
        wrong |= {label for label in re.findall(r"(\w+)\s*[=!]", TEXT.sub('""', labels))} - known.get(name, set())
    for labels in GROUPING.findall(expression):
        of_all = set.intersection(*(known.get(name, set()) for name in figures)) if figures else set()
        wrong |= {label.strip() for label in labels.split(",")} - of_all
    return wrong


def _without_labels(expression: str) -> str:
    plain = GROUPING.sub(" ", SELECTION.sub(r"\1", expression))
    return re.sub(r"\[\d+[smhd]\]", "", plain)


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_names_figures_and_labels_that_are_told(where: str, expression: str) -> None:
    assert problems(expression) == set()


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("max(vivesphere_posts_dew) > 1", {"vivesphere_posts_dew"}),
        ("max by (bot) (vivesphere_posts_due)", {"bot"}),
        ('vivesphere_posts_total{outcom="held"}', {"outcom"}),
        ("maximum(vivesphere_posts_due)", {"maximum"}),
        ("rate(vivesphere_posts[5m])", {"vivesphere_posts"}),
    ],
)
def test_the_test_itself_sees_what_is_wrong(expression: str, wrong: set[str]) -> None:
    assert problems(expression) == wrong


def test_an_alert_says_what_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule
        assert set(rule["annotations"]) == {"summary", "do"}, rule
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


def test_each_panel_has_its_place_and_unit() -> None:
    places = [panel["gridPos"] for panel in panels()]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie upon each other"
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels() if panel["type"] != "row")


def test_promtool_takes_rules_and_configuration_and_the_right_alarms_are_raised() -> None:
    promtool("check", "rules", str(FOLDER / "alerts.yaml"))
    promtool("check", "config", "--syntax-only", str(FOLDER / "prometheus.yaml"))
    promtool("test", "rules", str(RULES_TEST))
