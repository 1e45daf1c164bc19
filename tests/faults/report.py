"""What each fault costs, as a table: `python -m tests.faults.report [name ...]`; without names all of them."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.breaking import FAULTS, Aftermath
from tests.flows.many_posts import thousand_posts
from tests.posting_stack import PostingStack
from tests.running_stack import RunningStack

THOUSAND = "thousand_posts"


def main(names: Sequence[str]) -> None:
    """Break a stack of its own in every way, one after the other."""
    console = Console(width=140)
    table = Table(title="Faults while posts are due; X's ledger judges", title_justify="left")
    for heading in (
        "fault",
        "hit by it",
        "X has of these",
        "due after it",
        "twice",
        "next due post went out",
        "latest",
    ):
        table.add_column(heading)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        running = RunningStack(Path(folder) / "home")
        with running.at_home():
            try:
                running.up()
                stack = PostingStack(running)
                stack.bring_in_bots()
                for fault in FAULTS:
                    if not names or fault.__name__ in names:
                        running.up()
                        stack.begin()
                        found = fault(stack)
                        table.add_row(*_row(found))
                        console.print(found)
                console.print(table)
                if not names or THOUSAND in names:
                    stack.begin()
                    console.print(thousand_posts(stack).said)
            finally:
                running.down()


def _row(found: Aftermath) -> list[str]:
    return [
        found.fault,
        _counted(found.hit),
        str(sum(times * number for times, number in found.accepted.items())),
        _counted(found.after),
        str(found.doubles),
        f"{found.next_seconds:.1f} s after it",
        f"{found.late_seconds:.1f} s late",
    ]


def _counted(statuses: dict[str, int]) -> str:
    return ", ".join(f"{number} {status}" for status, number in statuses.items())


if __name__ == "__main__":
    main(sys.argv[1:])
