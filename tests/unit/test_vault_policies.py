"""The policy files: one a role, mount names filled in, nothing wider than it has to be."""

import re
from pathlib import Path

import pytest

from config.places import Places
from config.settings import Settings, Vault
from deployments.local import vault_provisioning
from deployments.local.vault_provisioning import POLICIES, ROLES

EVERYBODY = (*ROLES, "supervisor", "provision", "lease", "backup", "restore")
# What lies on no mount of ours, and why.
BEYOND = {
    "provision": [
        "sys/policies/acl/vivesphere-*",  # these files
        "auth/token/roles/vivesphere-lease",  # the kind of token that a database login hangs on
    ],
    "backup": ["sys/storage/raft/snapshot"],  # everything, as it lies on the disk
    "restore": ["sys/storage/raft/snapshot-force"],  # known to the empty vault that a restore begins with, and no other
    "keys": [
        "auth/token/create/vivesphere-lease",
        "auth/token/renew-accessor",  # of such tokens, whose accessors nobody else knows
        "auth/token/revoke-accessor",
        "sys/leases/renew",
    ],
}
RULE = re.compile(
    r'^path "([^"]+)"\s*\{\s*capabilities\s+= \[([^]]*)\](?:\s+allowed_parameters = \{[^}]*\})?\s*\}$', re.MULTILINE
)


def rules(role: str) -> dict[str, set[str]]:
    mounts = Vault(kv_mount="kv-x", transit_mount="transit-x", approle_mount="approle-x", database_mount="database-x")
    text = vault_provisioning.policy(Places(Settings(home=Path("unused"), vault=mounts)), role)
    assert "$" not in text
    found = {path: set(re.findall(r"\w+", words)) for path, words in RULE.findall(text)}
    assert len(found) == text.count('path "')
    return found


def test_each_role_has_its_file_and_each_file_its_role() -> None:
    assert {path.stem for path in POLICIES.glob("*.hcl")} == set(EVERYBODY)


@pytest.mark.parametrize("role", EVERYBODY)
def test_no_role_reaches_beyond_our_mounts_and_its_own_token(role: str) -> None:
    allowed = (
        "kv-x/",
        "transit-x/",
        "database-x/",
        "auth/approle-x/role/",
        "auth/token/lookup-self",
        "auth/token/renew-self",
    )
    beyond = [path for path in rules(role) if not path.startswith(allowed)]
    assert sorted(beyond) == sorted(BEYOND.get(role, []))


@pytest.mark.parametrize("role", EVERYBODY)
def test_no_role_has_everything_and_only_own_folders_have_an_open_end(role: str) -> None:
    for path, may in rules(role).items():
        assert "sudo" not in may
        if "*" in path:
            assert re.fullmatch(rf"kv-x/(data|metadata)/{role}/\*|sys/policies/acl/vivesphere-\*", path)


def test_the_supervisor_cannot_mint_ids_for_itself() -> None:
    assert not [path for path in rules("supervisor") if re.search(r"role/(supervisor|\+)/secret-id", path)]
