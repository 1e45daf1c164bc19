"""What people ask of Prefect's server through the gateway, written down before it is passed on."""

from tasks.connections import Connections
from tasks.domain.roles import Actor, Permission
from tasks.operations import activity


async def passed_on(at: Connections, actor: Actor, permission: Permission, method: str, path: str) -> None:
    """Note a change of something of Prefect's, or an approval."""
    async with at.transaction() as session:
        await activity.note(session, actor, permission, path, method=method)


async def refused(
    at: Connections, actor: Actor, permission: Permission, method: str, path: str, problem: str = "not-allowed"
) -> None:
    """Note that somebody asked for what he may not do."""
    async with at.transaction() as session:
        await activity.remark(
            session, actor, "access.denied", path, permission=permission, method=method, problem=problem
        )
