"""Commits whose acknowledgement is lost: they stand, and the sender does not know."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tests.delivery.conftest import Sender


class LosingConnections(Connections):
    """Connections on which the answer to one commit is lost: the first that `when` says yes to."""

    when: Callable[[list[str]], bool]
    lost = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """As Connections.transaction, but the caller learns nothing of one commit."""
        async with self._overheard(super().transaction()) as session:
            yield session

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncSession]:
        """As Connections.statement, but the caller learns nothing of one commit."""
        async with self._overheard(super().statement()) as session:
            yield session

    @asynccontextmanager
    async def _overheard(self, opened: AbstractAsyncContextManager[AsyncSession]) -> AsyncIterator[AsyncSession]:
        said: list[str] = []
        async with opened as session:
            execute = session.execute

            async def heard(statement: Any, *given: Any, **named: Any) -> Any:
                said.append(str(statement))
                return await execute(statement, *given, **named)

            session.execute = heard  # type: ignore[method-assign]
            yield session
        if not self.lost and self.when(said):
            self.lost += 1
            raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))


async def run_losing(sender: Sender, word: str) -> list[tuple[str, str | None]]:
    """Send one post while the commit of the transaction that says `word` loses its answer: attempts, oldest first."""
    [bot] = await sender.with_bots(1)
    await sender.schedule(bot)
    at = sender.at
    losing = LosingConnections(at.places, at.server, at.login, at.engine, at.kv, at.x, at.transit, at.leases)
    losing.when = lambda said: any(word in statement for statement in said)
    sender.at = losing
    await sender.run(1.5)
    assert losing.lost == 1
    async with at.transaction() as session:
        rows = await session.execute(text("SELECT ended, problem FROM publish_attempts ORDER BY marked_at"))
        return [(row.ended, row.problem) for row in rows]


@pytest.mark.promise("P1")
@pytest.mark.promise("P2")
async def test_a_mark_that_stands_unknown_to_us_was_never_sent_and_the_post_goes_out_once(sender: Sender) -> None:
    assert await run_losing(sender, "mark_posts") == [("not_sent", "mark-not-acknowledged"), ("accepted", None)]
    assert len(sender.ledger()) == 1


@pytest.mark.promise("P1")
async def test_an_outcome_that_stands_unknown_to_us_is_written_again_and_changes_nothing(sender: Sender) -> None:
    assert await run_losing(sender, "jsonb_to_recordset") == [("accepted", None)]
    assert len(sender.ledger()) == 1
