"""Logins that the vault makes at the database, and the tokens they hang on."""

from dataclasses import dataclass, field

from hvac.adapters import JSONAdapter

from blocks.vault.client import Vault
from blocks.vault.errors import Denied, Missing, Refused

# The kind of token: it may read one login, lives as long as it is renewed, and is nobody's child.
TOKENS = "vivesphere-lease"


@dataclass(frozen=True)
class Holder:
    """A token for one lease; once revoked by its accessor, or not renewed, the lease ends with it."""

    token: str = field(repr=False)
    accessor: str


@dataclass(frozen=True)
class DatabaseLogin:
    """A role that the engine has made."""

    username: str
    password: str = field(repr=False)
    lease_id: str


class Leases:
    """The database engine on one mount."""

    def __init__(self, vault: Vault, mount: str) -> None:
        self._vault = vault
        self._mount = mount

    def holder(self) -> Holder:
        """A new token for one lease."""
        asked = "make a token for a lease"
        path = f"/v1/auth/token/create/{TOKENS}"
        found = self._vault.call(asked, lambda: self._vault.adapter.post(path, json={}), writes=True)["auth"]
        return Holder(found["client_token"], found["accessor"])

    def database_login(self, holder: Holder, role: str) -> DatabaseLogin:
        """Have the engine make a login of this role, which hangs on the holder's token."""
        # The same connections with another token: on ours the login would end when our own token does.
        adapter = JSONAdapter.from_adapter(self._vault.adapter)
        adapter.token = holder.token
        path = f"/v1/{self._mount}/creds/{role}"
        found = self._vault.call(f"make a database login of {role}", lambda: adapter.get(path), writes=True)
        return DatabaseLogin(found["data"]["username"], found["data"]["password"], found["lease_id"])

    def renew(self, accessor: str, lease_id: str) -> None:
        """Let token and login live on from now; raises Denied or Refused where either has ended."""
        self._vault.put("auth/token/renew-accessor", {"accessor": accessor})
        self._vault.put("sys/leases/renew", {"lease_id": lease_id})

    def revoke(self, accessor: str) -> None:
        """End token and login; one that has ended is no error."""
        try:
            self._vault.put("auth/token/revoke-accessor", {"accessor": accessor})
        except (Denied, Missing, Refused):
            # The vault knows it no more. It says 403 or 400, according to its make.
            return
