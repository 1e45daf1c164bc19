"""The rules' corpus: what each must let pass and must object to, and how well it does. As a program: a table.

Each file of tests/data/policy holds the cases of the rule it is named after. `beyond` are cases that the rule gets
wrong and is known to: they count in the table, so that its figures are no flattery.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from config import yaml_file
from config.loading import APP_ROOT
from tasks.domain.policy import gate
from tasks.domain.policy.finding import Case, Finding, Said, Seen, Trend
from tasks.domain.policy.policies import Policies
from tests.makers import NOON, a_draft, an_account

FOLDER = APP_ROOT / "tests" / "data" / "policy"
SHIPPED = Policies.model_validate(yaml_file.read(APP_ROOT / "config" / "policies.yaml").data)


@dataclass(frozen=True)
class Example:
    """A case, the rule it is for, whether that rule has to object, and whether it is known to be wrong there."""

    rule: str
    case: Case
    objects: bool
    beyond: bool = False

    def __str__(self) -> str:
        return f"{self.rule}: {self.case.draft.text[:40]!a}"


def examples() -> Iterator[Example]:
    """Every case of every rule."""
    for path in sorted(FOLDER.glob("*.yaml")):
        written = yaml_file.read(path).data
        shared = {name: written.get(name, {}) for name in ("account", "policies")}
        for kind, objects in (("passes", False), ("fails", True)):
            for one in written[kind]:
                yield Example(path.stem, _case(one, shared), objects)
        for one in written.get("beyond", ()):
            yield Example(path.stem, _case(one, shared), one["fails"], beyond=True)


def objected(rule: str, case: Case, judges: Mapping[str, Callable[[Case], Finding | None]] = gate.JUDGES) -> bool:
    """Whether the rule, where it is among the judges, objects."""
    return rule in judges and judges[rule](case) is not None


def _case(one: str | Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]]) -> Case:
    said: Mapping[str, Any] = {"text": one} if isinstance(one, str) else one
    draft = a_draft(
        text=said["text"] * said.get("times", 1),
        media=tuple(UUID(int=number) for number in range(said.get("media", 0))),
        reply_to_x_post_id=said.get("reply"),
        quote_x_post_id=said.get("quote"),
        made_with_ai=said.get("ai", False),
        paid_partnership=said.get("paid", False),
    )
    seen = Seen(
        now=NOON,
        alike=tuple(
            Said(other["handle"], other["text"], NOON - timedelta(hours=other.get("hours", 2)))
            for other in said.get("alike", ())
        ),
        carried={thing: frozenset(handles) for thing, handles in said.get("carried", {}).items()},
        fleet=frozenset(said.get("fleet", ())),
        wrote=said.get("wrote", {}),
        answered=said.get("answered", {}),
        trends=tuple(Trend(name, NOON - timedelta(hours=hours)) for name, hours in said.get("trends", {}).items()),
    )
    account = an_account(**{**shared["account"], **said.get("account", {})})
    policies = {**SHIPPED.model_dump(), **shared["policies"], **said.get("policies", {})}
    return Case(draft, account, seen, Policies.model_validate(policies))


def main() -> None:
    """Print precision and recall of each rule: over its own cases, and over what all others must let pass."""
    corpus = list(examples())
    print(f"{len(corpus)} cases of {len(gate.RULES)} rules")
    print(f"{'rule':<20} {'found':>5} {'missed':>6} {'wrongly':>7} {'precision':>9} {'recall':>6}")
    for rule in gate.RULES:
        mine = [one for one in corpus if one.rule == rule]
        harmless = [one for one in corpus if not one.objects and (one.rule == rule or not one.beyond)]
        found = sum(objected(rule, one.case) for one in mine if one.objects)
        missed = sum(one.objects for one in mine) - found
        wrongly = sum(objected(rule, one.case) for one in harmless)
        share = found / (found + wrongly) if found else 0.0
        print(f"{rule:<20} {found:>5} {missed:>6} {wrongly:>7} {share:>9.2f} {found / (found + missed):>6.2f}")


if __name__ == "__main__":
    main()
