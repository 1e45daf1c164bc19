"""The canonical form, the hashes and the seals of the audit, and what a check of them names."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain import audit
from tasks.domain.audit import AuditRow, Leaf, Seal
from tasks.domain.audit_check import Check, Report
from tests.makers import NOON

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = {1: KEY.public_key().public_bytes_raw()}

words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words, values, max_size=4)
rows = st.builds(
    AuditRow,
    id=st.integers(1, 2**60),
    xid=st.integers(1, 2**60),
    at=st.integers(0, 2**32 * 10**6).map(lambda micro: NOON + timedelta(microseconds=micro)),
    category=st.sampled_from(["activity", "security"]),
    actor=words,
    actor_kind=st.sampled_from(["user", "key", "system"]),
    action=words,
    subject=words,
    bot_id=st.none() | st.uuids(),
    before=st.none() | objects,
    after=st.none() | objects,
    details=objects,
    personal=st.none() | words,
)


def a_row(number: int) -> AuditRow:
    return AuditRow(
        number, number, NOON, "activity", "ann", "user", "posts.cancel", f"post {number}", None, None, {}, {}, None
    )


def sealed(seal: Seal) -> Seal:
    return replace(seal, signature="vault:v1:" + b64encode(KEY.sign(seal.content)).decode())


class Book:
    """An audit of some seals, to be tampered with."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.rows: dict[int, AuditRow] = {}
        self.seals: list[tuple[Seal, list[Leaf]]] = []
        last = None
        for size in sizes:
            new = [a_row(len(self.rows) + place) for place in range(1, size + 1)]
            seal, leaves = audit.next_seal(new, last, below=new[-1].xid + 1, now=NOON)
            last = sealed(seal)
            self.seals.append((last, leaves))
            self.rows |= {row.id: row for row in new}
        self.anchor = last

    def check(self, newer: int = 0) -> Report:
        check = Check(audit.signed_by(PUBLIC), audit.fingerprint(PUBLIC), self.anchor)
        for seal, leaves in self.seals:
            check.seal(seal, leaves, self.rows)
        check.unsealed(newer)
        return check.finish()


@given(rows)
def test_a_row_that_went_through_json_has_the_same_hash(row: AuditRow) -> None:
    back = audit.row_from_json(json.loads(json.dumps(audit.to_json(row))))
    assert audit.leaf_hash(back) == audit.leaf_hash(row)


@given(rows, rows)
def test_rows_that_differ_have_forms_that_differ(one: AuditRow, other: AuditRow) -> None:
    same = json.dumps(audit.to_json(one), sort_keys=True) == json.dumps(audit.to_json(other), sort_keys=True)
    assert (audit.canonical(one) == audit.canonical(other)) == same


@given(rows, st.sampled_from([field.name for field in fields(AuditRow)]))
def test_no_field_of_a_row_can_change_unseen(row: AuditRow, name: str) -> None:
    other = {
        int: lambda value: value + 1,
        str: lambda value: value + "x",
        datetime: lambda value: value + timedelta(microseconds=1),
        dict: lambda value: {**value, "one more": 1},
        UUID: lambda _: None,
        type(None): lambda _: UUID(int=1) if name == "bot_id" else ("x" if name == "personal" else {}),
    }
    value = getattr(row, name)
    changed = other[type(value)](value)
    assert audit.leaf_hash(replace(row, **{name: changed})) != audit.leaf_hash(row)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40), st.data())
def test_a_root_stands_for_each_leaf_its_place_and_their_number(hashes: list[bytes], data: st.DataObject) -> None:
    root = audit.root(hashes)
    place = data.draw(st.integers(0, len(hashes) - 1))
    assert audit.root([*hashes[:place], bytes(31) + b"\x07", *hashes[place + 1 :]]) != root
    assert audit.root([*hashes, hashes[-1]]) != root


@given(rows, st.integers(1, 2**40))
def test_a_seal_that_went_through_json_keeps_its_signature(row: AuditRow, below: int) -> None:
    seal = sealed(audit.next_seal([row], None, below, NOON)[0])
    back = audit.seal_from_json(json.loads(json.dumps(audit.to_json(seal))))
    assert back == seal
    assert audit.signed_by(PUBLIC)(back)
    assert not audit.signed_by(PUBLIC)(replace(back, leaves=back.leaves + 1))
    assert not audit.signed_by({2: PUBLIC[1]})(back)


def test_a_row_shows_what_its_kind_allows_and_names_the_rest() -> None:
    values = {"status": "scheduled", "due_at": NOON, "text": "Words of a person", "secret": "s"}
    assert audit.shown("posts", values) == {
        "status": "scheduled",
        "due_at": "2026-11-23T12:00:00.000000+00:00",
        "hidden": ["secret", "text"],
    }
    assert audit.shown("unheard_of", {"status": "x"}) == {"hidden": ["status"]}
    assert audit.shown("posts", None) is None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_an_untouched_audit_is_whole(sizes: list[int]) -> None:
    report = Book(sizes).check(newer=3)
    assert report.findings == ()
    assert (report.seals, report.rows, report.newer) == (len(sizes), sum(sizes), 3)
    assert report.said == f"anchored to seal {len(sizes)}; 3 newer rows rest on grants only"


@pytest.mark.promise("P7")
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.data())
def test_an_edited_or_deleted_row_is_named(sizes: list[int], data: st.DataObject) -> None:
    row_id = data.draw(st.integers(1, sum(sizes)))
    book = Book(sizes)
    book.rows[row_id] = replace(book.rows[row_id], actor="somebody else")
    assert [(found.kind, found.row_id) for found in book.check().findings] == [("edited", row_id)]
    del book.rows[row_id]
    assert [(found.kind, found.row_id) for found in book.check().findings] == [("deleted", row_id)]


@pytest.mark.promise("P7")
@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.data())
def test_a_tail_that_was_cut_is_found_by_the_anchor(sizes: list[int], data: st.DataObject) -> None:
    book = Book(sizes)
    kept = data.draw(st.integers(0, len(sizes) - 1))
    del book.seals[kept:]
    [found] = book.check().findings
    assert found.kind == "cut"
    assert f"the positions {sum(sizes[:kept]) + 1} to {sum(sizes)} " in found.said


def test_a_row_changed_with_its_hash_breaks_the_root_and_one_changed_with_all_of_it_the_signature() -> None:
    book = Book([2, 3, 1])
    seal, leaves = book.seals[1]
    book.rows[4] = replace(book.rows[4], actor="somebody else")
    leaves[1] = replace(leaves[1], hash=audit.leaf_hash(book.rows[4]))
    [found] = book.check().findings
    assert (found.kind, found.seal) == ("rewritten", 2)
    assert "one of the rows 3 to 5" in found.said
    book.seals[1] = (replace(seal, root=audit.root([leaf.hash for leaf in leaves])), leaves)
    assert [(one.kind, one.seal) for one in book.check().findings] == [("unsigned", 2), ("rewritten", 3)]


def test_a_row_that_is_gone_with_its_hash_is_named_by_its_place_and_its_neighbours() -> None:
    book = Book([2, 3])
    del book.rows[4]
    del book.seals[1][1][1]
    [found] = book.check().findings
    assert found.said == "the row at position 4 (after row 3 and before row 5), sealed by seal 2, is gone with its hash"


def test_seals_taken_out_of_the_middle_leave_a_gap() -> None:
    book = Book([2, 3, 1, 1])
    del book.seals[1:3]
    [found] = book.check().findings
    assert found.said == "seals 2 to 3 are gone, and with them the rows at the positions 3 to 6 of the audit"


def test_without_an_anchor_everything_rests_on_grants() -> None:
    book = Book([2, 3])
    book.anchor = None
    report = book.check(newer=1)
    assert [found.kind for found in report.findings] == ["no_anchor"]
    assert report.said == "anchored to no seal; 6 newer rows rest on grants only"
