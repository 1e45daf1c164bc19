"""Secrets by path and version."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hvac.api.secrets_engines import KvV2

from blocks.vault.client import Vault
from blocks.vault.errors import Conflict, Missing, NoAnswer, Refused, Unavailable, Unreachable, Untrusted, VaultError

ATTEMPT = "attempt_id"  # stored beside the data, so that a writer can tell its own version from another's


@dataclass(frozen=True)
class Secret:
    """One version of a secret; its data does not show in repr, nor in anything that prints it."""

    data: Mapping[str, str] = field(repr=False)
    version: int
    created_at: datetime
    attempt_id: str | None = None


@dataclass(frozen=True)
class Metadata:
    """What may be known without reading: the newest version, and when the first and the newest were written."""

    version: int
    created_at: datetime
    updated_at: datetime


class Kv:
    """The KV version 2 engine on one mount. Paths are below the mount, such as `bots/<id>/access`."""

    def __init__(self, vault: Vault, mount: str, readers: int) -> None:
        self._vault = vault
        self._mount = mount
        self._readers = readers
        self._api = KvV2(vault.adapter)

    def read(self, path: str, version: int | None = None) -> Secret:
        """The newest version, or the named one; Missing if it was never written or is deleted."""
        answer = self._vault.call(
            f"read secret {path}",
            lambda: self._api.read_secret_version(
                path, version=version, mount_point=self._mount, raise_on_deleted_version=True
            ),
            writes=False,
        )
        found = answer["data"]
        data, metadata = dict(found["data"]), found["metadata"]
        attempt_id = data.pop(ATTEMPT, None)
        return Secret(data, metadata["version"], _instant(metadata["created_time"]), attempt_id)

    def read_many(self, paths: Sequence[str]) -> dict[str, Secret | VaultError]:
        """Read side by side; each path has its secret or its own error.

        Once the vault itself is found away, paths not yet asked for get that error at once.
        """
        away: list[VaultError] = []

        def one(path: str) -> Secret | VaultError:
            if away:
                return away[0]
            try:
                return self.read(path)
            except (Unreachable, Untrusted, NoAnswer, Unavailable) as error:
                away.append(error)
                return error
            except VaultError as error:
                return error

        with ThreadPoolExecutor(self._readers, thread_name_prefix="vault-read") as threads:
            return dict(zip(paths, threads.map(one, paths), strict=True))

    def metadata(self, path: str) -> Metadata:
        """Version and times of a secret."""
        found = self._vault.call(
            f"read metadata of {path}",
            lambda: self._api.read_secret_metadata(path, mount_point=self._mount),
            writes=False,
        )["data"]
        return Metadata(found["current_version"], _instant(found["created_time"]), _instant(found["updated_time"]))

    def write(self, path: str, data: Mapping[str, str], cas: int | None) -> int:
        """Store a new version and return its number.

        With `cas` only if that is the newest version now (0: nothing was ever written there), else Conflict. A write
        whose answer got lost raises NoAnswer: it may have happened.
        """
        try:
            answer = self._vault.call(
                f"write secret {path}",
                lambda: self._api.create_or_update_secret(path, dict(data), cas=cas, mount_point=self._mount),
                writes=True,
            )
        except Refused as error:
            problem: VaultError = error
        else:
            return _version(answer)
        # The vault says 400 for a stale version and for a malformed request alike; the version tells which.
        if cas is not None and self._is_stale(path, cas):
            problem = Conflict(f"write secret {path}: version {cas} is not the newest any more")
        raise problem

    def write_once(self, path: str, data: Mapping[str, str], cas: int, attempt_id: str) -> int:
        """Store version `cas` + 1 and settle a lost answer by reading back; safe to repeat with the same attempt.

        Conflict means that somebody else wrote that version, NoAnswer that it still cannot be known.
        """
        marked = {**data, ATTEMPT: attempt_id}
        try:
            return self.write(path, marked, cas)
        except (NoAnswer, Conflict) as error:
            if self._wrote(path, cas + 1, attempt_id, error):
                return cas + 1
        # Nobody had it when we looked. The first request may still land: the same content, and only one of the two.
        try:
            return self.write(path, marked, cas)
        except (NoAnswer, Conflict) as error:
            if self._wrote(path, cas + 1, attempt_id, error):
                return cas + 1
            raise

    def delete(self, path: str) -> None:
        """Forget a secret with all its versions; deleting what is not there is no error."""
        self._vault.call(
            f"delete secret {path}",
            lambda: self._api.delete_metadata_and_all_versions(path, mount_point=self._mount),
            writes=True,
        )

    def destroy(self, path: str, version: int) -> None:
        """End one version for good; the others stay. Doing it twice does no harm."""
        self._vault.call(
            f"destroy version {version} of secret {path}",
            lambda: self._api.destroy_secret_versions(path, versions=[version], mount_point=self._mount),
            writes=True,
        )

    def _wrote(self, path: str, version: int, attempt_id: str, error: VaultError) -> bool:
        """Whether `version` is ours; raises `error` (the write's) if it is another's or cannot be looked at."""
        try:
            found = self.read(path, version)
        except Missing:
            return False
        except VaultError:
            raise error from None
        if found.attempt_id == attempt_id:
            return True
        raise Conflict(f"write secret {path}: another attempt wrote version {version}")

    def _is_stale(self, path: str, cas: int) -> bool:
        try:
            return self.metadata(path).version != cas
        except Missing:
            return cas != 0
        except VaultError:
            return False


def _version(answer: Mapping[str, Any]) -> int:
    return int(answer["data"]["version"])


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
