"""Two things that are locked by one number hold each other up, and no test of either alone shows it."""

import re
from pathlib import Path

from tasks.store import advisory_locks
from tasks.store.advisory_locks import AdvisoryLock

STORE = Path(advisory_locks.__file__).parent
NUMBER = re.compile(r"\b7_?310_?\d{3}\b")


def numbers(files: list[Path]) -> set[int]:
    return {int(found) for file in files for found in NUMBER.findall(file.read_text(encoding="utf-8"))}


def test_the_database_locks_by_numbers_that_are_known_here() -> None:
    in_database = numbers(list((STORE / "migrations").rglob("*.sql")))
    assert in_database == {AdvisoryLock.STOP, AdvisoryLock.PARTITIONS, AdvisoryLock.REFRESHES}


def test_no_other_file_has_a_number_of_its_own() -> None:
    assert numbers([file for file in STORE.parent.rglob("*.py") if file != Path(advisory_locks.__file__)]) == set()
