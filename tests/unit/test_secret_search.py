"""The search for secrets finds what is there, in whatever form, and nothing else."""

import base64
from pathlib import Path

import pytest

from tests.secret_search import Finding, Secret, plant, search


def test_a_planted_secret_is_found_in_every_form(tmp_path: Path) -> None:
    secret, expected = plant(tmp_path / "planted")
    assert search([secret], tmp_path) == expected


def test_each_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "both").write_text("one-secret-of-many then two-secrets-of-many", encoding="utf-8")
    wanted = [Secret("first", "one-secret-of-many"), Secret("second", "two-secrets-of-many")]
    assert search(wanted, tmp_path) == {Finding(tmp_path / "both", "first"), Finding(tmp_path / "both", "second")}


def test_what_is_only_alike_is_not_found(tmp_path: Path) -> None:
    text = "one-secret-of-man ONE-SECRET-OF-MANY " + base64.b64encode(b"one-secret-of-may").decode()
    (tmp_path / "alike").write_text(text, encoding="utf-8")
    assert search([Secret("first", "one-secret-of-many")], tmp_path) == set()


def test_a_secret_that_chance_would_find_is_not_looked_for(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="too short"):
        search([Secret("pin", "1234")], tmp_path)


def test_a_secret_does_not_show_in_what_pytest_prints() -> None:
    assert "one-secret" not in repr(Secret("first", "one-secret-of-many"))
