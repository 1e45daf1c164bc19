"""Brings the vault, embedded or not, to the wanted state: mounts, policies, roles, keys, and an id for each process.

The wanted state is versioned here and in vault_policies/*.hcl, and applied at each `up`. What must exist before anybody
can sign in (`foundation`) is set by the embedded server itself at its first start, without a root token that anybody
sees; in a vault that somebody else runs, by the token in `vault.admin_token_file`.

Bootstrap secrets, 0600 under secrets/, never in a backup: vault-supervisor.role-id and vault-supervisor.secret-id.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, get_args
from uuid import uuid4

from blocks.vault.client import AppRole, AppRoleFiles, TokenFile, Vault
from blocks.vault.errors import Missing, Refused, SignedOut
from blocks.vault.kv import Kv, Secret
from config.places import Places
from config.settings import LOOPBACK
from config.settings import AppRole as RoleName
from deployments.local import layout
from tasks.domain.credentials import ESCROW_KEY

POLICIES = Path(__file__).parent / "vault_policies"
ROLES: tuple[RoleName, ...] = get_args(RoleName)
SUPERVISOR, PROVISION, LEASE = "supervisor", "provision", "lease"
BACKUP, RESTORE = "backup", "restore"
BOT_RECORDS_KEY, AUDIT_KEY = "bot-records", "audit"
KEYS: Mapping[str, Mapping[str, Any]] = {
    BOT_RECORDS_KEY: {"type": "aes256-gcm96", "derived": True},  # a key of its own for each bot
    AUDIT_KEY: {"type": "ed25519"},
    ESCROW_KEY: {"type": "rsa-3072"},  # processes seal to its public half; keys alone may open
}
PROVISION_SECONDS = 300  # how long one provisioning may take
SUPERVISOR_TOKEN_SECONDS = 600
KEPT, STATELESS = "service", "batch"  # what the vault calls a token that can be renewed, and one that leaves no trace
NO_END = 0
ONLY_OURS = True  # the vault's own default policy grants what no process of ours needs
TOKEN_LIVES = 6  # a token may be renewed until it is this many secret-ids old
MOUNT_SECONDS = 10  # a new KV mount refuses everything for a moment


class VaultNotOursError(RuntimeError):
    """The vault cannot be provisioned; the text says what stands in the way and what to do."""


@dataclass(frozen=True)
class FileText:
    """A value that is the content of a file, so that it need not stand in a configuration."""

    path: Path


@dataclass(frozen=True)
class Step:
    """One request of the foundation."""

    name: str
    path: str
    data: Mapping[str, Any]


def supervisor_ids(places: Places) -> AppRoleFiles:
    """Secret zero: the ids by which the supervisor signs in."""
    return AppRoleFiles(
        places.settings.vault.approle_mount,
        places.secrets / "vault-supervisor.role-id",
        places.secrets / "vault-supervisor.secret-id",
    )


def make_supervisor_ids(places: Places) -> None:
    """Make secret zero if there is none yet."""
    ids = supervisor_ids(places)
    for path in (ids.role_id, ids.secret_id):
        if not path.exists():
            layout.write_private(path, secrets.token_urlsafe(32))


def foundation(places: Places) -> list[Step]:
    """What must exist before the supervisor can sign in, in the order in which it is set."""
    mounts = places.settings.vault
    ids = supervisor_ids(places)
    return [
        Step("mount_kv", f"sys/mounts/{mounts.kv_mount}", {"type": "kv", "options": {"version": "2"}}),
        Step("mount_transit", f"sys/mounts/{mounts.transit_mount}", {"type": "transit"}),
        Step("mount_database", f"sys/mounts/{mounts.database_mount}", {"type": "database"}),
        Step("mount_approle", f"sys/auth/{mounts.approle_mount}", {"type": "approle"}),
        Step("policy_provision", _policy_path(PROVISION), {"policy": policy(places, PROVISION)}),
        Step("role_provision", _role_path(places, PROVISION), _role(places, PROVISION)),
        Step("policy_supervisor", _policy_path(SUPERVISOR), {"policy": policy(places, SUPERVISOR)}),
        Step(
            "role_supervisor",
            _role_path(places, SUPERVISOR),
            {**_role(places, SUPERVISOR), "role_id": FileText(ids.role_id)},
        ),
        Step(
            "supervisor_ids",
            f"{_role_path(places, SUPERVISOR)}/custom-secret-id",
            {"secret_id": FileText(ids.secret_id)},
        ),
    ]


def foundation_to_restore(places: Places) -> list[Step]:
    """The foundation of a vault that is filled from a copy: there the supervisor may do that one thing more."""
    may = {"token_policies": [f"vivesphere-{SUPERVISOR}", f"vivesphere-{RESTORE}"]}
    return [
        *foundation(places),
        Step("policy_restore", _policy_path(RESTORE), {"policy": policy(places, RESTORE)}),
        Step("supervisor_restores", _role_path(places, SUPERVISOR), {**_role(places, SUPERVISOR), **may}),
    ]


def policy(places: Places, role: str) -> str:
    """The policy file of `role` with the mount names filled in."""
    mounts = places.settings.vault
    return Template((POLICIES / f"{role}.hcl").read_text(encoding="utf-8")).substitute(
        kv=mounts.kv_mount,
        transit=mounts.transit_mount,
        approle=mounts.approle_mount,
        database=mounts.database_mount,
    )


def provision(places: Places) -> None:
    """Apply policies, roles and keys, and write role-id and secret-id of each role; safe to repeat."""
    if places.settings.vault.address:
        _lay_foundation(places)
    with as_provision(places) as vault:
        # Its own policy first: with a new release it may need what the old one did not allow.
        for role in (PROVISION, SUPERVISOR, LEASE, BACKUP, *ROLES):
            vault.put(_policy_path(role), {"policy": policy(places, role)})
        for role in (PROVISION, SUPERVISOR, BACKUP, *ROLES):
            vault.put(_role_path(places, role), _role(places, role))
        for key, kind in KEYS.items():
            vault.put(f"{places.settings.vault.transit_mount}/keys/{key}", kind)
        vault.put(f"auth/token/roles/vivesphere-{LEASE}", _lease_token(places))
        for role in ROLES:
            layout.write_private(places.role_id(role), _role_id(vault, places, role))
    renew_secret_ids(places)


def renew_secret_ids(places: Places) -> None:
    """Write a fresh secret-id for each role; call it well within `stack.secret_id_seconds`, the old ones expire."""
    with Vault(places, supervisor_ids(places)) as vault:
        for role in ROLES:
            layout.write_private(places.secret_id(role), _mint(vault, places, role))


def ensure_secret(places: Places, path: str, generate: Callable[[], Mapping[str, str]]) -> Secret:
    """What is stored at `path`; at the first call what `generate` makes. The policy allows postgres/* alone."""
    with as_provision(places) as vault:
        kv = Kv(vault, places.settings.vault.kv_mount, places.settings.vault.readers)
        try:
            return kv.read(path)
        except Missing:
            kv.write_once(path, generate(), cas=0, attempt_id=str(uuid4()))
        return kv.read(path)


@contextmanager
def signed_in(places: Places, role: str) -> Iterator[Vault]:
    """The vault as any role sees it, the supervisor, what provisions and what makes backups included."""
    if role in (PROVISION, BACKUP):
        with _by_one_id(places, role) as vault:
            yield vault
        return
    with Vault(places, supervisor_ids(places)) if role == SUPERVISOR else Vault.for_role(places, role) as vault:
        yield vault


@contextmanager
def as_provision(places: Places) -> Iterator[Vault]:
    """The vault as it is provisioned, by an id that is used once."""
    with _by_one_id(places, PROVISION) as vault:
        yield vault


@contextmanager
def _by_one_id(places: Places, role: str) -> Iterator[Vault]:
    mount = places.settings.vault.approle_mount
    with Vault(places, supervisor_ids(places)) as supervisor:
        role_id = _role_id(supervisor, places, role)
        secret_id = _mint(supervisor, places, role)
    with Vault(places, AppRole(mount, role_id, secret_id)) as vault:
        yield vault


def _lay_foundation(places: Places) -> None:
    """In a vault of somebody else's, and only while the supervisor cannot sign in there."""
    make_supervisor_ids(places)
    try:
        with Vault(places, supervisor_ids(places), patience_seconds=0) as supervisor:
            _role_id(supervisor, places, PROVISION)
            return
    except SignedOut:
        pass
    token_file = places.settings.vault.admin_token_file
    if token_file is None:
        raise VaultNotOursError(
            f"the vault at {places.vault} does not know this stack: write a token that may set mounts, policies and "
            "roles into a 0600 file and name it in vault.admin_token_file; it is needed once"
        )
    with Vault(places, TokenFile(token_file)) as admin:
        present = {
            **_mounts(admin, "sys/mounts"),
            **_mounts(admin, "sys/auth"),
        }
        for step in foundation(places):
            kind = step.data.get("type")
            if step.path not in present:
                admin.put(step.path, {name: _text(value) for name, value in step.data.items()})
            elif present[step.path] != kind:
                raise VaultNotOursError(
                    f"{step.path} in the vault at {places.vault} is of type {present[step.path]}, not {kind}: "
                    "choose another name for it in the settings under vault.*_mount"
                )
        _wait_for_kv(admin, places)


def _mounts(vault: Vault, path: str) -> dict[str, str]:
    return {f"{path}/{name.rstrip('/')}": mount["type"] for name, mount in vault.get(path)["data"].items()}


def _wait_for_kv(vault: Vault, places: Places) -> None:
    """A vault that keeps many mounts takes a moment to turn a new one into version 2, and refuses meanwhile."""
    give_up_at = time.monotonic() + MOUNT_SECONDS
    while True:
        try:
            vault.get(f"{places.settings.vault.kv_mount}/config")
            return
        except Refused:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(0.05)


def _role_id(vault: Vault, places: Places, role: str) -> str:
    return str(vault.get(f"{_role_path(places, role)}/role-id")["data"]["role_id"])


def _mint(vault: Vault, places: Places, role: str) -> str:
    return str(vault.put(f"{_role_path(places, role)}/secret-id", {})["data"]["secret_id"])


def _policy_path(role: str) -> str:
    return f"sys/policies/acl/vivesphere-{role}"


def _role_path(places: Places, role: str) -> str:
    return f"auth/{places.settings.vault.approle_mount}/role/{role}"


def _role(places: Places, role: str) -> dict[str, Any]:
    """What an AppRole is set to; the supervisor's secret-id is the one that does not expire."""
    seconds = places.settings.stack.secret_id_seconds
    lives: dict[str, Any] = {
        "secret_id_ttl": seconds,
        "token_type": KEPT,
        "token_ttl": seconds,
        "token_max_ttl": TOKEN_LIVES * seconds,
    }
    if role in (PROVISION, BACKUP):
        lives = {"secret_id_ttl": PROVISION_SECONDS, "token_type": STATELESS, "token_ttl": PROVISION_SECONDS}
    if role == SUPERVISOR:
        lives = {"secret_id_ttl": NO_END, "token_type": STATELESS, "token_ttl": SUPERVISOR_TOKEN_SECONDS}
    # Our own server is asked from this machine alone; ids carried off are of no use elsewhere.
    from_here = [] if places.settings.vault.address else [f"{LOOPBACK}/32"]
    return {
        **lives,
        "token_policies": [f"vivesphere-{role}"],
        "token_no_default_policy": ONLY_OURS,
        "secret_id_bound_cidrs": from_here,
        "token_bound_cidrs": from_here,
    }


def _lease_token(places: Places) -> dict[str, Any]:
    """The kind of token that a database login hangs on: of nobody's making, so that it outlives the run that asked."""
    return {
        "allowed_policies": [f"vivesphere-{LEASE}"],
        "orphan": True,
        "renewable": True,
        "token_period": places.settings.rotation.database_logins.lease_seconds,
        "token_type": KEPT,
        "token_no_default_policy": ONLY_OURS,
    }


def _text(value: Any) -> Any:
    return value.path.read_text(encoding="utf-8").strip() if isinstance(value, FileText) else value
