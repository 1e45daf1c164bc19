"""What becomes of a refresh that is interrupted, as a table: `python -m tests.credentials.report [rounds]`."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.credentials import breaking, children
from tests.credentials.breaking import Aftermath
from tests.credentials.fleet import Fleet, world_of
from tests.credentials.points import POINTS, refresher
from tests.migrated_postgres import fresh_database, migrated_postgres
from tests.openbao_process import OpenBaoProcess, running_openbao
from tests.postgres_process import PostgresProcess
from tests.x_sandbox_process import XSandboxProcess

ROUNDS = 20
HEADINGS = ("broken", "bots", "next run", "served meanwhile", "run after the token's end", "X was asked", "alive")


def main(arguments: Sequence[str]) -> None:
    """Break refreshes of a stack's real parts in every way, one after the other."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    table = Table(title="Refreshes interrupted at each step; X's ledger judges", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading)
    with (
        tempfile.TemporaryDirectory(prefix="refreshes-") as folder,
        migrated_postgres() as postgres,
        running_openbao() as bao,
        XSandboxProcess(Path(folder)) as x,
    ):
        for part in ("killed", "killed, vault away", "killed, Postgres away", "vault", "Postgres"):
            for point in POINTS:
                table.add_row(*_row(asyncio.run(_broken(postgres, bao, x, part, point, rounds))))
        asked = asyncio.run(_hundred(postgres, bao, x))
    Console(width=140).print(table)
    print(asked)


async def _broken(
    postgres: PostgresProcess, bao: OpenBaoProcess, x: XSandboxProcess, part: str, point: str, rounds: int
) -> Aftermath:
    x.reset()
    with fresh_database(postgres, "broken") as server:
        world = world_of(bao, server, postgres.password, x.url)
        async with refresher(world) as at:
            fleet = Fleet(world, at, postgres, bao, x)
            if part == "killed":
                return await breaking.kill_at(fleet, point, rounds)
            if part.startswith("killed, "):
                away = part.removeprefix("killed, ").removesuffix(" away")
                return await breaking.kill_while_away(fleet, point, away, rounds)
            process = bao if part == "vault" else postgres
            return await breaking.away_at(fleet, point, part, process.kill, process.start)


async def _hundred(postgres: PostgresProcess, bao: OpenBaoProcess, x: XSandboxProcess) -> str:
    x.reset()
    with fresh_database(postgres, "hundred") as server:
        world = world_of(bao, server, postgres.password, x.url)
        async with refresher(world) as at:
            fleet = Fleet(world, at, postgres, bao, x)
            [bot] = await fleet.with_bots()
            fleet.pass_time(seconds=breaking.NEARLY_ENDED.total_seconds())
            answers = await asyncio.to_thread(children.all_at_once, world, bot, 4, 25)
            good = sum(has_token for _, has_token in answers)
            return (
                f"100 callers over 4 processes at the end of a token: {good} good answers, X was asked {fleet.calls()}"
            )


def _row(found: Aftermath) -> list[str]:
    return [
        found.broken,
        str(found.bots),
        _counted(found.next_run),
        str(found.served),
        _counted(found.last_run),
        _counted(found.calls),
        str(found.works),
    ]


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in numbers.items())


if __name__ == "__main__":
    main(sys.argv[1:])
