"""Every rule against its corpus: it objects where it must, nothing objects where nothing may, and none is left out."""

import pkgutil
from collections import Counter
from importlib import import_module

import pytest

from tasks.domain import policy
from tasks.domain.policy import gate
from tasks.domain.policy.policies import Policies
from tests.policy_corpus import FOLDER, Example, examples, objected

CORPUS = list(examples())
SURE = [one for one in CORPUS if not one.beyond]


@pytest.mark.promise("P6")
def test_the_corpus_holds_every_rule_from_both_sides() -> None:
    assert len(CORPUS) >= 300
    sides = Counter((one.rule, one.objects) for one in SURE)
    assert {rule for rule, _ in sides} == set(gate.RULES)
    assert min(sides.values()) >= 10


def test_every_rule_that_is_written_is_asked() -> None:
    modules = [import_module(f"{policy.__name__}.{found.name}") for found in pkgutil.iter_modules(policy.__path__)]
    assert {module.RULE.id for module in modules if hasattr(module, "RULE")} == set(gate.RULES) == set(gate.JUDGES)
    assert {path.stem for path in FOLDER.iterdir()} == set(gate.RULES)


@pytest.mark.parametrize("example", SURE, ids=str)
def test_a_rule_objects_where_it_must_and_nothing_objects_to_what_is_fine(example: Example) -> None:
    findings = gate.findings(example.case)
    if example.objects:
        found = [finding for finding in findings if finding.rule == example.rule]
        assert [one.severity for one in found] == [gate.RULES[example.rule].severity]
        assert found[0].evidence
        assert found[0].advice
    else:
        assert [finding.said for finding in findings if finding.rule == example.rule] == []


@pytest.mark.parametrize("example", [one for one in CORPUS if one.beyond], ids=str)
def test_what_a_rule_is_known_to_get_wrong_is_still_so(example: Example) -> None:
    """One that it gets right by now moves to the others."""
    assert objected(example.rule, example.case) != example.objects


@pytest.mark.parametrize("rule", gate.RULES)
def test_the_corpus_fails_without_a_rule(rule: str) -> None:
    without = {name: judge for name, judge in gate.JUDGES.items() if name != rule}
    missed = [one for one in SURE if one.rule == rule and one.objects and not objected(rule, one.case, without)]
    assert len(missed) >= 10


@pytest.mark.parametrize("rule", gate.RULES)
def test_only_rules_of_our_own_are_switched_off(rule: str) -> None:
    off = Policies(switched_off=(rule,))
    assert gate.not_ours_to_switch_off(off) == ((rule,) if gate.RULES[rule].x_policy else ())
    assert gate.not_ours_to_switch_off(Policies(switched_off=("no-such-rule",))) == ("no-such-rule",)
