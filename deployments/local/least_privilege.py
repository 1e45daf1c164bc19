"""Least privilege, proved on the running vault: every role tries what must be refused, and each refusal counts.

What is tried changes nothing even where it is allowed by mistake: what is read is nobody's, writes name a version that
can never be the newest, and what is set is malformed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blocks.vault.client import Vault
from blocks.vault.errors import Denied, Missing, Refused, VaultError
from config.places import Places
from deployments.local import vault_provisioning
from deployments.local.vault_provisioning import AUDIT_KEY, BACKUP, BOT_RECORDS_KEY, PROVISION, ROLES, SUPERVISOR
from tasks.domain.credentials import ESCROW_KEY

NOBODY = "doctor-00000000-0000-0000-0000-000000000000"
IMPOSSIBLE_VERSION = 2**31 - 1
EVERYBODY = (*ROLES, SUPERVISOR, PROVISION, BACKUP)


@dataclass(frozen=True)
class Attempt:
    """Something that only some roles may do; `body` set means that it is written."""

    what: str
    path: str
    may: frozenset[str]
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Proof:
    """What one role was refused, and what it was not although it should be; `away` where nothing could be asked."""

    role: str
    refused: int
    allowed: tuple[str, ...]
    away: str = ""

    @property
    def well(self) -> bool:
        """Whether everything was refused."""
        return not self.allowed and not self.away


def attempts(places: Places) -> list[Attempt]:
    """Everything that is tried, and who may do it."""
    mounts = places.settings.vault
    kv, transit, approle = mounts.kv_mount, mounts.transit_mount, mounts.approle_mount

    def reading(path: str, *may: str) -> Attempt:
        return Attempt(f"read {path}", f"{kv}/data/{path}", frozenset(may))

    def writing(path: str, *may: str) -> Attempt:
        body = {"options": {"cas": IMPOSSIBLE_VERSION}, "data": {}}
        return Attempt(f"write {path}", f"{kv}/data/{path}", frozenset(may), body)

    def doing(what: str, path: str, body: Mapping[str, Any], *may: str) -> Attempt:
        return Attempt(what, path, frozenset(may), body)

    return [
        reading(f"bots/{NOBODY}/access", "poster", "keys"),
        reading(f"bots/{NOBODY}/refresh", "keys"),
        reading(f"bots/{NOBODY}/record-key", "gateway"),
        reading(f"apps/{NOBODY}/client", "gateway", "keys"),
        reading(f"services/{NOBODY}", "reader"),
        reading(f"notifications/{NOBODY}", "reader"),
        reading(f"keys/{NOBODY}", "keys"),
        reading(f"gateway/{NOBODY}", "gateway"),
        reading("postgres/owner", PROVISION),
        reading("postgres/prefect", PROVISION),
        reading(f"elsewhere/{NOBODY}"),
        writing(f"bots/{NOBODY}/access", "gateway", "keys"),
        writing(f"bots/{NOBODY}/refresh", "gateway", "keys"),
        writing(f"apps/{NOBODY}/client", "gateway", "keys"),
        writing(f"services/{NOBODY}", "gateway"),
        writing(f"notifications/{NOBODY}", "gateway"),
        writing(f"keys/{NOBODY}", "keys"),
        writing("audit/seal", "sealer"),
        writing(f"postgres/{NOBODY}", PROVISION),
        writing(f"elsewhere/{NOBODY}"),
        doing("sign the audit", f"{transit}/sign/{AUDIT_KEY}", {"input": "not base64"}, "sealer"),
        doing("open the escrow", f"{transit}/decrypt/{ESCROW_KEY}", {"ciphertext": "none"}, "keys"),
        doing("open records of bots", f"{transit}/decrypt/{BOT_RECORDS_KEY}", {"ciphertext": "none"}, "gateway"),
        doing("rewrap records of bots", f"{transit}/rewrap/{BOT_RECORDS_KEY}", {"ciphertext": "none"}, "keys"),
        doing("take a key out", f"{transit}/backup/{AUDIT_KEY}/x", {}),
        doing("make a key deletable", f"{transit}/keys/{AUDIT_KEY}/config", {"min_encryption_version": "none"}),
        doing("set a policy of ours", f"sys/policies/acl/vivesphere-{NOBODY}", {"policy": "{"}, PROVISION),
        doing("set a policy of others", f"sys/policies/acl/{NOBODY}", {"policy": "{"}),
        doing("mount an engine", f"sys/mounts/{NOBODY}", {"type": "none"}),
        doing("add an audit device", f"sys/audit/{NOBODY}", {"type": "none"}),
        Attempt("copy everything", "sys/storage/raft/snapshot", frozenset({BACKUP})),
        doing("put a copy back", "sys/storage/raft/snapshot-force", {}),
        Attempt("read raw storage", "sys/raw/core", frozenset()),
        doing("make a token", "auth/token/create", {"ttl": "none"}),
        doing("let the supervisor in anew", f"auth/{approle}/role/{SUPERVISOR}/secret-id", {"ttl": "none"}),
        *(
            doing(f"let {role} in", f"auth/{approle}/role/{role}/secret-id", {"ttl": "none"}, SUPERVISOR)
            for role in (*ROLES, PROVISION, BACKUP)
        ),
    ]


def prove(places: Places) -> list[Proof]:
    """Let each role try whatever it must not; the vault has to run."""
    wanted = attempts(places)
    return [_of_role(places, role, [one for one in wanted if role not in one.may]) for role in EVERYBODY]


def _of_role(places: Places, role: str, wanted: list[Attempt]) -> Proof:
    allowed = []
    try:
        with vault_provisioning.signed_in(places, role) as vault:
            for one in wanted:
                if not _refused(vault, one):
                    allowed.append(one.what)
    except VaultError as error:
        return Proof(role, 0, (), str(error))
    return Proof(role, len(wanted) - len(allowed), tuple(allowed))


def _refused(vault: Vault, attempt: Attempt) -> bool:
    """Whether the role's policy refuses it; a vault that is away proves nothing, and raises."""
    try:
        if attempt.body is None:
            vault.get(attempt.path)
        else:
            vault.put(attempt.path, attempt.body)
    except Denied:
        return True
    except (Missing, Refused):
        return False
    return False
