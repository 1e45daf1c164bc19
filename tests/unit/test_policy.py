"""The gate and its first rules."""

import pytest

from tasks.domain.policy import gate
from tasks.domain.policy.finding import Case
from tasks.domain.policy.gate import Verdict
from tasks.domain.text_length import weighted_length
from tests.makers import a_draft, an_account


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("abc", 3),
        ("é", 1),
        ("漢字", 4),
        ("😀", 2),
        ("👩‍👩‍👧‍👦", 2),
        ("see https://example.org/a/very/long/path?with=query", 27),
        ("", 0),
    ],
)
def test_the_length_is_what_x_counts(text: str, length: int) -> None:
    assert weighted_length(text) == length


@pytest.mark.parametrize("text", ["a" * 280, "漢" * 140, "https://example.org/" + "a" * 500 + " " + "b" * 256])
def test_280_weighted_characters_pass(text: str) -> None:
    assert gate.findings(Case(a_draft(text=text), an_account())) == ()


@pytest.mark.parametrize("text", ["a" * 281, "漢" * 141, "😀" * 141])
def test_more_are_refused_with_the_count(text: str) -> None:
    [finding] = gate.findings(Case(a_draft(text=text), an_account()))
    assert finding.rule == "weighted-length"
    assert str(weighted_length(text)) in finding.evidence


@pytest.mark.parametrize(("text", "said"), [(" ", "white space"), ("a\uffffb", "U+FFFF")])
def test_what_x_takes_in_no_text_is_refused(text: str, said: str) -> None:
    finding = gate.findings(Case(a_draft(text=text), an_account()))[0]
    assert (finding.rule, finding.severity) == ("weighted-length", "refuse")
    assert said in finding.evidence


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    ("account", "said"),
    [
        (an_account(label_confirmed=False), "automation label"),
        (an_account(bio_names_operator=False), "@vive_ops"),
    ],
)
def test_an_undisclosed_account_says_nothing(account: object, said: str) -> None:
    findings = gate.findings(Case(a_draft(), account))  # type: ignore[arg-type]
    assert not Verdict(findings, "1").allowed
    assert said in findings[0].evidence
