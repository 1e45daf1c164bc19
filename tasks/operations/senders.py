"""Senders: which of those on this host are proven dead."""

from collections.abc import Sequence
from uuid import UUID

from blocks.process import ProcessIdentity, proven_dead, this_process
from tasks.connections import Connections
from tasks.store import attempts, senders
from tasks.store.senders import SenderRow


async def bury_dead(at: Connections) -> Sequence[UUID]:
    """Note each sender whose death the kernel proves here, and look at once for what it left in doubt."""
    async with at.transaction() as session:
        others = await senders.not_found_dead(session, this_process().host)
    dead = [row.id for row in others if proven_dead(identity(row))]
    if dead:
        async with at.transaction() as session:
            await senders.bury(session, dead)
            await attempts.look_sooner(session, dead)
    return dead


def identity(row: SenderRow) -> ProcessIdentity:
    """The process that a sender is."""
    return ProcessIdentity(row.host, row.boot_id, row.pid_namespace, row.pid, row.start_ticks)
