"""How often somebody tried to sign in, by name and by client; what is over the limit is refused."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Column, Integer, Table, Text, case, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Instant, app_now, metadata

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("since", Instant, nullable=False, server_default=app_now),
)


async def count(session: AsyncSession, subjects: Sequence[str], window: timedelta) -> Mapping[str, int]:
    """Add an attempt to each subject; answers how many there are now in its window, this one included.

    Counted before the password is looked at: of many tries at once not one is free.
    """
    statement = insert(sign_in_attempts).values([{"subject": one, "attempts": 1} for one in sorted(subjects)])
    over = sign_in_attempts.c.since <= app_now - window
    found = await session.execute(
        statement.on_conflict_do_update(
            index_elements=[sign_in_attempts.c.subject],
            set_={
                "attempts": case((over, 1), else_=sign_in_attempts.c.attempts + 1),
                "since": case((over, app_now), else_=sign_in_attempts.c.since),
            },
        ).returning(sign_in_attempts.c.subject, sign_in_attempts.c.attempts)
    )
    return {row.subject: row.attempts for row in found}


async def forgive(session: AsyncSession, user: str, client: str) -> None:
    """A sign-in succeeded: the name begins anew, and the client has one attempt less."""
    await session.execute(delete(sign_in_attempts).where(sign_in_attempts.c.subject == user))
    await session.execute(
        update(sign_in_attempts)
        .where(sign_in_attempts.c.subject == client)
        .values(attempts=sign_in_attempts.c.attempts - 1)
    )


async def clear(session: AsyncSession, window: timedelta) -> None:
    """Forget windows that have passed."""
    await session.execute(delete(sign_in_attempts).where(sign_in_attempts.c.since <= app_now - window))
