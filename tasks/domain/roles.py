"""Who may do what: one table for routes, commands and pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

Permission = Literal[
    "apps.read",
    "apps.write",
    "bots.connect",
    "bots.read",
    "bots.write",
    "personas.read",
    "personas.write",
    "posts.read",
    "posts.schedule",
    "posts.cancel",
    "runs.read",
    "runs.start",
    "access.validate",
]
Role = Literal["admin"]

PERMISSIONS: Mapping[Role, frozenset[str]] = {"admin": frozenset(get_args(Permission))}


@dataclass(frozen=True)
class Actor:
    """Who acts: a person, a key of a program, or the system itself."""

    name: str
    kind: Literal["user", "key", "system"]
    roles: frozenset[Role] = frozenset()
    user_id: UUID | None = None

    def may(self, permission: Permission) -> bool:
        """True where one of the actor's roles grants `permission`; no role, no right."""
        return any(permission in PERMISSIONS[role] for role in self.roles)


def system(name: str) -> Actor:
    """The actor of work that no person asked for, such as the sweeper."""
    return Actor(name=name, kind="system", roles=frozenset({"admin"}))
