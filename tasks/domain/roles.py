"""Who may do what: one table for routes, commands, websockets and Prefect's own pages."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Role = Literal["viewer", "operator", "approver", "worker", "admin"]
# What a route of Prefect's does: looks, works, lets a waiting run go on, serves a worker, or runs code.
Class = Literal["read", "operate", "approve", "worker", "admin"]
Permission = Literal[
    "access.own",
    "access.validate",
    "apps.read",
    "apps.write",
    "approvals.decide",
    "approvals.read",
    "audit.export",
    "audit.read",
    "audit.verify",
    "botdata.read",
    "botdata.reveal",
    "botdata.write",
    "bots.connect",
    "bots.forget",
    "breakers.close",
    "breakers.read",
    "bots.read",
    "bots.write",
    "credentials.plan",
    "credentials.read",
    "credentials.reveal",
    "credentials.rotate",
    "credentials.write",
    "logs.read",
    "logs.submit",
    "metrics.read",
    "monitoring.read",
    "notifications.read",
    "notifications.write",
    "personas.read",
    "personas.write",
    "posts.cancel",
    "posts.read",
    "posts.resolve",
    "posts.schedule",
    "prefect.admin",
    "prefect.approve",
    "prefect.operate",
    "prefect.read",
    "prefect.worker",
    "roles.assign",
    "roles.read",
    "runs.read",
    "runs.start",
    "settings.policy",
    "settings.read",
    "settings.write",
    "spend.read",
    "stops.read",
    "stops.write",
    "trends.read",
    "users.read",
    "users.write",
]


@dataclass(frozen=True)
class Right:
    """What a permission takes: one of these roles.

    `by_label`: a role for one label grants it for what bears that label. Without it only a role over everything
    counts, because the thing has no labels or shows all bots at once.
    """

    roles: frozenset[Role]
    by_label: bool = False


def _right(*roles: Role, by_label: bool = False) -> Right:
    return Right(frozenset(roles), by_label)


# Whatever stands here for nobody is allowed to nobody.
RIGHTS: Mapping[Permission, Right] = {
    "access.own": _right("viewer", "operator", "approver", "worker", "admin", by_label=True),
    "access.validate": _right("viewer", "operator", "approver", "worker", "admin", by_label=True),
    "apps.read": _right("viewer", "operator", "approver", "admin"),
    "apps.write": _right("admin"),
    "approvals.decide": _right("approver", "admin", by_label=True),
    "approvals.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "audit.export": _right("admin"),
    "audit.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "audit.verify": _right("viewer", "operator", "approver", "admin"),
    "botdata.read": _right("operator", "approver", "admin", by_label=True),
    "botdata.reveal": _right("admin", by_label=True),
    "botdata.write": _right("operator", "admin", by_label=True),
    "breakers.close": _right("operator", "admin"),
    "breakers.read": _right("viewer", "operator", "approver", "admin"),
    "bots.connect": _right("operator", "admin", by_label=True),
    "bots.forget": _right("admin"),
    "bots.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "bots.write": _right("operator", "admin", by_label=True),
    "credentials.plan": _right("operator", "approver", "admin"),
    "credentials.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "credentials.reveal": _right("admin"),
    # The settings of each kind say who of these two may.
    "credentials.rotate": _right("operator", "admin"),
    "credentials.write": _right("operator", "admin"),
    "logs.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "logs.submit": _right("viewer", "operator", "approver", "worker", "admin", by_label=True),
    "metrics.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "monitoring.read": _right("viewer", "operator", "approver", "admin"),
    "notifications.read": _right("viewer", "operator", "approver", "admin"),
    # Where we are sent, we go: whoever names an address could send us anywhere.
    "notifications.write": _right("admin"),
    "personas.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "personas.write": _right("operator", "admin"),
    "posts.cancel": _right("operator", "admin", by_label=True),
    "posts.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "posts.resolve": _right("operator", "admin", by_label=True),
    "posts.schedule": _right("operator", "admin", by_label=True),
    "prefect.admin": _right("admin"),
    "prefect.approve": _right("approver", "admin"),
    "prefect.operate": _right("operator", "worker", "admin"),
    "prefect.read": _right("viewer", "operator", "approver", "worker", "admin"),
    "prefect.worker": _right("worker", "admin"),
    "roles.assign": _right("admin"),
    "roles.read": _right("admin"),
    "runs.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "runs.start": _right("operator", "admin", by_label=True),
    "settings.policy": _right("admin"),
    "settings.read": _right("viewer", "operator", "approver", "admin"),
    "settings.write": _right("operator", "admin"),
    "spend.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "stops.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "stops.write": _right("operator", "admin", by_label=True),
    # They are about nobody's bots.
    "trends.read": _right("viewer", "operator", "approver", "admin", by_label=True),
    "users.read": _right("admin"),
    "users.write": _right("admin"),
}

# Prefect's routes and websockets are told apart by what they do; see the table of the proxy.
PREFECT: Mapping[Class, Permission] = {
    "read": "prefect.read",
    "operate": "prefect.operate",
    "approve": "prefect.approve",
    "worker": "prefect.worker",
    "admin": "prefect.admin",
}


# What a command asks the API for; None is a command that touches this machine alone, for whoever may read its files.
COMMANDS: Mapping[str, Permission | None] = {
    "up": None,
    "down": None,
    "status": None,
    "doctor": None,
    "config": None,
    "sandbox": None,
    "db": None,
    "today": "posts.read",
    "bots adopt": "bots.write",
    "bots forget": "bots.forget",
    "bots import": "bots.write",
    "bots list": "bots.read",
    "bots login": "bots.connect",
    "bots reconnect": "bots.connect",
    "bots show": "bots.read",
    "apps add": "apps.write",
    "apps budget": "apps.write",
    "apps list": "apps.read",
    "approvals approve": "approvals.decide",
    "approvals diff": "approvals.read",
    "approvals list": "approvals.read",
    "approvals reject": "approvals.decide",
    "credentials abandon": "credentials.rotate",
    "credentials doctor": None,
    "credentials list": "credentials.read",
    "credentials plan": "credentials.plan",
    "credentials provide": "credentials.rotate",
    "credentials reveal": "credentials.reveal",
    "credentials rollback": "credentials.rotate",
    "content evergreen add": "posts.schedule",
    "content evergreen list": "posts.read",
    "content evergreen remove": "posts.schedule",
    "content feeds add": "posts.schedule",
    "content feeds list": "posts.read",
    "content feeds remove": "posts.schedule",
    "content plan": "posts.schedule",
    "content turns": "posts.schedule",
    "personas list": "personas.read",
    "posts blackout": "posts.cancel",
    "posts blackouts": "posts.read",
    "posts lift-blackout": "posts.cancel",
    "posts shift": "posts.schedule",
    "posts cancel": "posts.cancel",
    "posts check": "posts.schedule",
    "posts counts": "posts.read",
    "posts delete": "posts.cancel",
    "posts edit": "posts.schedule",
    "posts held": "posts.read",
    "posts list": "posts.read",
    "posts resolve": "posts.resolve",
    "posts release": "posts.schedule",
    "posts resume-thread": "posts.schedule",
    "posts schedule": "posts.schedule",
    "posts show": "posts.read",
    "posts why": "posts.read",
    "metrics bot": "metrics.read",
    "metrics collect": "runs.start",
    "notify channels add": "notifications.write",
    "notify channels list": "notifications.read",
    "notify channels remove": "notifications.write",
    "notify channels test": "notifications.write",
    "notify log": "notifications.read",
    "metrics export": "metrics.read",
    "metrics post": "metrics.read",
    "metrics report": "runs.start",
    "metrics top": "metrics.read",
    "trends for": "trends.read",
    "trends rising": "trends.read",
    "trends show": "trends.read",
    "trends sources": "trends.read",
    "users add": "users.write",
    "users disable": "users.write",
    "users enable": "users.write",
    "users list": "users.read",
    "users offboard": "users.write",
    "users passwd": "users.write",  # pragma: allowlist secret
    "roles assign": "roles.assign",
    "roles list": "roles.read",
    "roles revoke": "roles.assign",
    "keys create": "access.own",
    "keys list": "access.own",
    "keys revoke": "access.own",
    "keys rotate": "access.own",
    "audit export": "audit.export",
    "audit list": "audit.read",
    "audit search": "audit.read",
    "audit verify": "audit.verify",
    "logs": "logs.read",
    "rotate": "credentials.rotate",
    "run": "runs.start",
    "stop": "stops.write",
    "stops list": "stops.read",
    "resume": "stops.write",
    "breakers close": "breakers.close",
    "breakers list": "breakers.read",
    "settings history": "settings.read",
    "settings rollback": "settings.write",
    "settings set": "settings.write",
    "settings show": "settings.read",
    "spend": "spend.read",
}


@dataclass(frozen=True)
class Grant:
    """A role in force: for what bears `label`, or for everything."""

    role: Role
    label: str | None = None


@dataclass(frozen=True)
class Actor:
    """Who acts: a person, a key of a program, or the system itself."""

    name: str
    kind: Literal["user", "key", "system"]
    grants: frozenset[Grant] = frozenset()
    user_id: UUID | None = None

    def within(self, permission: Permission) -> frozenset[str] | None:
        """Labels for which the actor has `permission`: None is everything, an empty set is nothing."""
        right = RIGHTS[permission]
        labels = {grant.label for grant in self.grants if grant.role in right.roles}
        if None in labels:
            return None
        return frozenset(label for label in labels if label is not None) if right.by_label else frozenset()

    def may(self, permission: Permission, labels: Collection[str] | None = None) -> bool:
        """True where a role of the actor grants `permission`; no role, no right.

        With `labels`, those of the thing in question: for that thing. Without: for something or other, and what he
        then sees is limited by `within`.
        """
        within = self.within(permission)
        if within is None:
            return True
        return bool(within if labels is None else within.intersection(labels))

    def may_everywhere(self, permission: Permission) -> bool:
        """True where no label bounds the right."""
        return self.within(permission) is None


def narrowed(grants: Iterable[Grant], role: Role | None, label: str | None) -> frozenset[Grant]:
    """What is left of a user's roles in a key made for one role, one label, or both: never more than the user has.

    An admin's key may be made for any role; another's for a role that the owner holds.
    """
    return frozenset(
        Grant(role or grant.role, grant.label or label)
        for grant in grants
        if role in (None, grant.role) or grant.role == "admin"
        if None in (label, grant.label) or label == grant.label
    )


def covers(held: Iterable[Grant], wanted: Iterable[Grant]) -> bool:
    """True where whoever holds `held` could do all that `wanted` grants: nobody hands on more than he has."""
    have = frozenset(held)
    return all(
        any(Grant(role, label) in have for role in (one.role, "admin") for label in (one.label, None)) for one in wanted
    )


def system(name: str) -> Actor:
    """The actor of work that no person asked for, such as the sweeper."""
    return Actor(name, "system", frozenset({Grant("admin")}))
