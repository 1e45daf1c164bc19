"""The table of roles: what is not granted is refused, and a narrowed key is never worth more than its owner."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.roles import PREFECT, RIGHTS, Actor, Class, Grant, Permission, Role, narrowed, system

ROLES = get_args(Role)
LABELS = ("weather", "transit")
grants = st.frozensets(st.builds(Grant, st.sampled_from(ROLES), st.sampled_from((None, *LABELS))))


def somebody(*held: Grant) -> Actor:
    return Actor("somebody", "user", frozenset(held))


@pytest.mark.promise("A1")
def test_every_permission_stands_in_the_table_and_every_class_of_prefects_routes_is_one() -> None:
    assert set(RIGHTS) == set(get_args(Permission))
    assert set(PREFECT) == set(get_args(Class))


@pytest.mark.promise("A1")
def test_who_has_no_role_has_no_right_and_the_admin_every_one() -> None:
    for permission in RIGHTS:
        assert not somebody().may(permission)
        assert somebody(Grant("admin")).may_everywhere(permission)
        assert system("sweeper").may_everywhere(permission)


@pytest.mark.promise("A1")
def test_what_runs_code_is_the_admins_and_approving_is_a_class_of_its_own() -> None:
    assert RIGHTS["prefect.admin"].roles == {"admin"}
    assert RIGHTS["prefect.approve"].roles == {"approver", "admin"}
    approver, operator = somebody(Grant("approver")), somebody(Grant("operator"))
    assert not approver.may("posts.schedule") and not approver.may("prefect.operate")
    assert not operator.may("prefect.approve")


def test_a_worker_serves_prefect_writes_lines_and_sees_nothing_of_ours() -> None:
    allowed = {permission for permission in RIGHTS if somebody(Grant("worker")).may(permission)}
    assert allowed == {
        "access.own",
        "access.validate",
        "logs.submit",
        "prefect.operate",
        "prefect.read",
        "prefect.worker",
    }


@pytest.mark.promise("A2")
def test_a_role_for_a_label_holds_for_that_label_alone() -> None:
    actor = somebody(Grant("operator", "weather"))
    assert actor.may("posts.schedule")
    assert actor.within("posts.schedule") == {"weather"}
    assert actor.may("posts.schedule", ["weather", "vienna"])
    assert not actor.may("posts.schedule", ["transit"])
    assert not actor.may("posts.schedule", [])
    assert not actor.may_everywhere("posts.schedule")


@pytest.mark.promise("A2")
@pytest.mark.parametrize("permission", [name for name, right in RIGHTS.items() if not right.by_label])
def test_what_knows_no_labels_takes_a_role_without_one(permission: Permission) -> None:
    assert not any(somebody(Grant(role, "weather")).may(permission) for role in ROLES)


@pytest.mark.promise("A2")
@given(held=grants, role=st.sampled_from((None, *ROLES)), label=st.sampled_from((None, *LABELS)))
def test_a_narrowed_key_is_never_worth_more_than_its_owner(
    held: frozenset[Grant], role: Role | None, label: str | None
) -> None:
    owner, key = somebody(*held), Actor("key", "key", narrowed(held, role, label))
    for permission in RIGHTS:
        for labels in ([], ["weather"], ["transit"], list(LABELS)):
            assert owner.may(permission, labels) or not key.may(permission, labels)
        assert owner.may_everywhere(permission) or not key.may_everywhere(permission)
    if label is not None:
        assert not any(key.may_everywhere(permission) for permission in RIGHTS)
    if role is not None:
        assert {grant.role for grant in key.grants} <= {role}


@given(held=grants)
def test_a_key_that_is_not_narrowed_is_worth_its_owner(held: frozenset[Grant]) -> None:
    assert narrowed(held, None, None) == held
