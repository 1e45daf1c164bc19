"""Reads the audit from its first seal to its last and names what is not as it was sealed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tasks.domain.audit import AuditRow, Leaf, Seal, follows, leaf_hash, root

Kind = Literal["edited", "deleted", "slipped_in", "rewritten", "unsigned", "gap", "cut", "no_anchor", "unreadable"]
# One defect can touch every row; the report stays readable.
FINDINGS_MAX = 1000


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was sealed."""

    kind: Kind
    said: str
    row_id: int | None = None
    seal: int | None = None


@dataclass(frozen=True)
class Report:
    """What a check found. Without findings, everything up to seal `anchored_to` is as it was written."""

    findings: tuple[Finding, ...]
    seals: int
    rows: int
    anchored_to: int | None
    newer: int
    key: str

    @property
    def said(self) -> str:
        """How far it reaches, in a sentence."""
        if self.anchored_to is None:
            return f"anchored to no seal; {_newer(self.newer)} on grants only"
        return f"anchored to seal {self.anchored_to}; {_newer(self.newer)} on grants only"


@dataclass
class Check:
    """Hand in every seal in order, then `finish`.

    `anchor` is the last seal as the vault keeps it, `kept` number and digest of one that was kept elsewhere. Without
    `begins` the first seal handed in need not be the first there ever was, without `ends` the last not the last.
    """

    signed: Callable[[Seal], bool]
    key: str
    anchor: Seal | None
    kept: tuple[int, bytes] | None = None
    begins: bool = True
    ends: bool = True
    _findings: list[Finding] = field(default_factory=list)
    _last: Seal | None = None
    _seals: int = 0
    _rows: int = 0
    _newer: int = 0
    _met_kept: bool = False
    _from: int = 1

    def seal(
        self, seal: Seal, leaves: Sequence[Leaf], rows: Mapping[int, AuditRow], left_out: frozenset[int] = frozenset()
    ) -> None:
        """One seal, its leaves and their rows by id; rows `left_out` stand in the export by their hash alone."""
        self._link(seal)
        if not self.signed(seal):
            self._find(
                "unsigned", f"seal {seal.number} is not signed by the vault: it was changed or forged", seal=seal
            )
        present = {leaf.position: leaf for leaf in leaves}
        self._gaps(seal, present)
        whole = len(present) == seal.leaves
        for leaf in present.values():
            if leaf.row_id not in left_out:
                self._row(seal, leaf, rows.get(leaf.row_id))
        if whole and root([present[place].hash for place in sorted(present)]) != seal.root:
            ids = sorted(leaf.row_id for leaf in leaves)
            self._find(
                "rewritten",
                f"the hashes under seal {seal.number} were changed: one of the rows {ids[0]} to {ids[-1]} is not what "
                "was sealed, though it agrees with its own hash",
                seal=seal,
            )
        self._seals += 1
        self._rows += seal.leaves
        if self.anchor is not None and seal.number > self.anchor.number:
            self._newer += seal.leaves
        self._last = seal

    def unsealed(self, count: int, slipped_in: Sequence[AuditRow] = ()) -> None:
        """Rows that no seal covers yet; those `slipped_in` stand among sealed ones."""
        self._newer += count
        for row in slipped_in:
            self._find("slipped_in", f"{_named(row)} stands among sealed rows and was never sealed", row)

    def unreadable(self, said: str) -> None:
        """Something that is no part of an audit."""
        self._find("unreadable", said)

    def finish(self) -> Report:
        """What was found."""
        last = self._last
        if self.kept is not None and not self._met_kept and self.ends and (self.begins or self._from <= self.kept[0]):
            self._find("cut", f"seal {self.kept[0]}, as it was kept elsewhere, is gone: rows were cut off")
        if self.anchor is None:
            if last is not None:
                self._newer = self._rows + self._newer
                self._find("no_anchor", "no seal is kept outside the database: a cut tail cannot be seen")
        elif self.ends and (last.number < self.anchor.number if last else self.begins):
            here = f"seal {last.number}" if last else "no seal at all"
            self._find(
                "cut",
                f"the tail was cut: seal {self.anchor.number} is anchored outside, here is {here} at the end; the rows "
                f"at the positions {last.end if last else 1} to {self.anchor.end - 1} of the audit are gone",
            )
        anchored = min(self.anchor.number, last.number) if self.anchor and last else None
        return Report(tuple(self._findings[:FINDINGS_MAX]), self._seals, self._rows, anchored, self._newer, self.key)

    def _link(self, seal: Seal) -> None:
        last = self._last
        if self.anchor is not None and seal.number == self.anchor.number and seal.digest != self.anchor.digest:
            self._find("rewritten", f"seal {seal.number} is not the one that is anchored outside", seal=seal)
        if self.kept is not None and seal.number == self.kept[0]:
            self._met_kept = True
            if seal.digest != self.kept[1]:
                self._find("rewritten", f"seal {seal.number} is not the one that was kept elsewhere", seal=seal)
        if last is None:
            self._from = seal.number
        if (last is None and not self.begins) or follows(seal, last):
            return
        expected = last.number + 1 if last else 1
        if seal.number > expected:
            first, end = (last.end if last else 1), seal.first
            self._find(
                "gap",
                f"seals {expected} to {seal.number - 1} are gone, and with them the rows at the positions {first} to "
                f"{end - 1} of the audit",
                seal=seal,
            )
        else:
            self._find("rewritten", f"seal {seal.number} does not follow the one before it", seal=seal)

    def _gaps(self, seal: Seal, present: Mapping[int, Leaf]) -> None:
        for position in range(seal.first, seal.end):
            if position in present:
                continue
            before = max((leaf.row_id for place, leaf in present.items() if place < position), default=None)
            after = min((leaf.row_id for place, leaf in present.items() if place > position), default=None)
            beside = [f"after row {before}"] * (before is not None) + [f"before row {after}"] * (after is not None)
            self._find(
                "deleted",
                f"the row at position {position} ({' and '.join(beside) or 'alone in its seal'}), sealed by seal "
                f"{seal.number}, is gone with its hash",
                seal=seal,
            )

    def _row(self, seal: Seal, leaf: Leaf, row: AuditRow | None) -> None:
        if row is None:
            said = f"row {leaf.row_id}, sealed by seal {seal.number} at {seal.sealed_at:%Y-%m-%d %H:%M:%S} UTC, is gone"
            self._findings.append(Finding("deleted", said, leaf.row_id, seal.number))
        elif leaf_hash(row) != leaf.hash:
            self._find("edited", f"{_named(row)} was changed after seal {seal.number}", row, seal)

    def _find(self, kind: Kind, said: str, row: AuditRow | None = None, seal: Seal | None = None) -> None:
        self._findings.append(Finding(kind, said, row.id if row else None, seal.number if seal else None))


def _named(row: AuditRow) -> str:
    return f"row {row.id} ({row.action} {row.subject} by {row.actor}, {row.at:%Y-%m-%d %H:%M:%S} UTC, as it reads now)"


def _newer(count: int) -> str:
    return f"{count} newer row{' rests' if count == 1 else 's rest'}"
