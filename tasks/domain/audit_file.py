"""The audit as a file of JSON lines, which carries everything that a check of it takes.

First a line `audit` (public keys, anchor, what was asked for), then each `seal` followed by its leaves: `leaf` with its
`row`, or without one where the row was not asked for; `row` null is one that was gone. Then rows without a seal, and a
line `end`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tasks.domain.audit import (
    AuditRow,
    Leaf,
    Seal,
    fingerprint,
    leaf_from_json,
    plain,
    row_from_json,
    seal_from_json,
    signed_by,
    to_json,
)
from tasks.domain.audit_check import Check, Report

FORMAT = 1


@dataclass(frozen=True)
class Excerpt:
    """Which rows an export holds: those from `since` on, before `until`, of these bots; None is no bound."""

    since: datetime | None = None
    until: datetime | None = None
    label: str | None = None
    bots: frozenset[UUID] | None = None

    def holds(self, row: AuditRow) -> bool:
        """Whether a row belongs to it."""
        return (
            (self.since is None or row.at >= self.since)
            and (self.until is None or row.at < self.until)
            and (self.bots is None or row.bot_id in self.bots)
        )


def first_line(keys: Mapping[int, bytes], anchor: Seal | None, wanted: Excerpt, begins: bool, now: datetime) -> str:
    """What stands above; `begins` where the first seal is the first there ever was."""
    return _line(
        audit={
            "format": FORMAT,
            "keys": keys,
            "anchor": to_json(anchor) if anchor else None,
            "since": wanted.since,
            "until": wanted.until,
            "label": wanted.label,
            "begins": begins,
            "ends": wanted.until is None,
            "exported_at": now,
        }
    )


def seal_lines(seal: Seal, leaves: Sequence[Leaf], rows: Mapping[int, AuditRow], wanted: Excerpt) -> Iterator[str]:
    """A seal with its leaves; rows that were not asked for stand there by their hash."""
    yield _line(seal=to_json(seal))
    for leaf in leaves:
        row = rows.get(leaf.row_id)
        if row is None:
            yield _line(leaf=to_json(leaf), row=None)
        elif wanted.holds(row):
            yield _line(leaf=to_json(leaf), row=to_json(row))
        else:
            yield _line(leaf=to_json(leaf))


def row_line(row: AuditRow) -> str:
    """A row that no seal covers yet."""
    return _line(row=to_json(row))


def last_line(seals: int) -> str:
    """Without it the file is cut."""
    return _line(end={"seals": seals})


def check_lines(lines: Iterable[str], kept: tuple[int, bytes] | None = None) -> Report:
    """Check an exported file; `kept`: number and digest of a seal kept elsewhere."""
    reader = _Reader(kept)
    for number, line in enumerate(lines, start=1):
        try:
            reader.read(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            reader.broken(number)
    return reader.finish()


class _Reader:
    def __init__(self, kept: tuple[int, bytes] | None) -> None:
        self._kept = kept
        self._check: Check | None = None
        self._seal: Seal | None = None
        self._leaves: list[Leaf] = []
        self._rows: dict[int, AuditRow] = {}
        self._left_out: set[int] = set()
        self._unsealed = 0
        self._ended = False
        self._broken: list[int] = []

    def read(self, said: Mapping[str, Any]) -> None:
        if "audit" in said:
            self._begin(said["audit"])
        elif "seal" in said:
            self._flush()
            self._seal = seal_from_json(said["seal"])
        elif "leaf" in said:
            self._leaf(said)
        elif "row" in said:
            row_from_json(said["row"])
            self._unsealed += 1
        elif "end" in said:
            self._ended = True
        else:
            raise KeyError("no part of an audit")

    def broken(self, number: int) -> None:
        self._broken.append(number)

    def finish(self) -> Report:
        check = self._check or Check(lambda _: False, "", None)
        self._flush()
        for number in self._broken[:10]:
            check.unreadable(f"line {number} of the file cannot be read")
        if self._check is None:
            check.unreadable("this is no exported audit: its first line is missing")
        elif not self._ended:
            check.unreadable("the file ends too early: its last line is missing")
        check.unsealed(self._unsealed)
        return check.finish()

    def _begin(self, said: Mapping[str, Any]) -> None:
        if said["format"] != FORMAT:
            raise ValueError(said["format"])
        keys = {int(version): bytes.fromhex(key) for version, key in said["keys"].items()}
        anchor = seal_from_json(said["anchor"]) if said["anchor"] else None
        self._check = Check(signed_by(keys), fingerprint(keys), anchor, self._kept, said["begins"], said["ends"])

    def _leaf(self, said: Mapping[str, Any]) -> None:
        leaf = leaf_from_json(said["leaf"])
        self._leaves.append(leaf)
        if "row" not in said:
            self._left_out.add(leaf.row_id)
        elif said["row"] is not None:
            self._rows[leaf.row_id] = row_from_json(said["row"])

    def _flush(self) -> None:
        if self._seal is not None and self._check is not None:
            self._check.seal(self._seal, self._leaves, self._rows, frozenset(self._left_out))
        self._seal, self._leaves, self._rows, self._left_out = None, [], {}, set()


def _line(**said: Any) -> str:
    return json.dumps(plain(said), ensure_ascii=False) + "\n"
