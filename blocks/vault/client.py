"""One process's connection to the vault: signs in by itself, tries again where that is safe."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import hvac.exceptions
from hvac.adapters import JSONAdapter
from requests import Session
from requests.adapters import HTTPAdapter

from blocks.vault.errors import Denied, NoAnswer, SignedOut, VaultError, translate
from config.places import Places

PAUSES_SECONDS = (0.1, 0.3, 0.9)
PATIENCE_TIMEOUTS = 2  # all tries together may take as long as this many answers
RENEW_AT = 2 / 3  # of a token's life
OWN_TOKEN = "/v1/auth/token"  # noqa: S105  # nosec B105

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class AppRoleFiles:
    """Where a role's two ids lie; they are read again at each sign-in, because the supervisor renews them."""

    mount: str
    role_id: Path
    secret_id: Path

    def sign_in(self) -> tuple[str, dict[str, str]]:
        """Path and body of the sign-in request."""
        return f"/v1/auth/{self.mount}/login", {"role_id": _line(self.role_id), "secret_id": _line(self.secret_id)}


@dataclass(frozen=True)
class AppRole:
    """A role's two ids, held in memory alone."""

    mount: str
    role_id: str
    secret_id: str = field(repr=False)

    def sign_in(self) -> tuple[str, dict[str, str]]:
        """Path and body of the sign-in request."""
        return f"/v1/auth/{self.mount}/login", {"role_id": self.role_id, "secret_id": self.secret_id}


@dataclass(frozen=True)
class TokenFile:
    """A 0600 file with a token that somebody gave us."""

    path: Path


class Vault:
    """Safe to share between threads, and meant to be: a new one costs a handshake and a sign-in.

    It blocks; from a coroutine call it on a thread. The environment (VAULT_ADDR, VAULT_TOKEN, proxies, netrc) does
    not reach it. Every call raises VaultError and nothing else.
    """

    def __init__(
        self,
        places: Places,
        identity: AppRoleFiles | AppRole | TokenFile,
        patience_seconds: float | None = None,
    ) -> None:
        settings = places.settings.vault
        verify: bool | str = str(places.vault_ca) if places.vault_ca else True
        session = Session()
        session.trust_env = False
        session.verify = verify
        pool = HTTPAdapter(pool_connections=1, pool_maxsize=settings.readers)
        session.mount("https://", pool)
        session.mount("http://", pool)
        # Not hvac.Client: that one reads the environment while it is imported.
        self.adapter: JSONAdapter = JSONAdapter(
            base_uri=places.vault,
            verify=bool(verify),
            timeout=settings.timeout_seconds,  # type: ignore[arg-type]  # handed to requests, which takes fractions
            allow_redirects=False,  # a redirect would carry the token to another host
            session=session,
        )
        self._identity = identity
        self._patience_seconds = (
            PATIENCE_TIMEOUTS * settings.timeout_seconds if patience_seconds is None else patience_seconds
        )
        self._signing_in = threading.Lock()
        self._renew_at = float("inf")
        self._lease_seconds = 0.0

    @classmethod
    def for_role(cls, places: Places, role: str) -> Self:
        """The vault as `role` sees it, by the ids that the supervisor keeps fresh."""
        mount = places.settings.vault.approle_mount
        return cls(places, AppRoleFiles(mount, places.role_id(role), places.secret_id(role)))

    def call(self, asked: str, request: Callable[[], Any], *, writes: bool) -> Answer:
        """Make one request of an hvac API class on `adapter`; an empty answer is an empty mapping.

        `asked` says in the error what was wanted; it must hold no secret. With `writes` a request whose fate is
        unknown is not repeated.
        """
        give_up_at = time.monotonic() + self._patience_seconds
        for pause in (*PAUSES_SECONDS, None):
            found = self._attempt(asked, request, writes)
            if not isinstance(found, VaultError):
                return found
            problem = found
            if not problem.retryable or pause is None or time.monotonic() + pause > give_up_at:
                break
            time.sleep(pause)
        # Outside of any `except`, so that no exception of the lower libraries hangs on ours.
        raise problem

    def get(self, path: str) -> Answer:
        """Read any path under /v1/."""
        return self.call(f"read {path}", lambda: self.adapter.get(f"/v1/{path}"), writes=False)

    def put(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Write any path under /v1/; for requests that may be repeated, such as setting a policy."""
        return self.call(f"set {path}", lambda: self.adapter.post(f"/v1/{path}", json=dict(body)), writes=False)

    def download(self, path: str, within_seconds: float) -> bytes:
        """What a path under /v1/ answers that is no JSON; a copy that was cut off raises as well."""
        found = b""

        def fetch() -> Answer:
            nonlocal found
            answer = self.adapter.get(f"/v1/{path}", timeout=within_seconds)
            found = b"" if isinstance(answer, dict) else answer.content
            return {}

        self.call(f"download {path}", fetch, writes=False)
        return found

    def upload(self, path: str, content: bytes, within_seconds: float) -> None:
        """Send bytes to a path under /v1/, once."""

        def send() -> Any:
            return self.adapter.post(f"/v1/{path}", data=content, timeout=within_seconds)

        self.call(f"upload {path}", send, writes=True)

    def close(self) -> None:
        """Close the connections; the token ends by its own short life."""
        self.adapter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, asked: str, request: Callable[[], Any], writes: bool) -> Answer | VaultError:
        token = self.adapter.token
        if token is None or time.monotonic() > self._renew_at:
            problem = self._sign_in(instead_of=token)
            if problem is not None and self.adapter.token is None:
                return problem
            token = self.adapter.token
        found = _send(asked, request, writes)
        if not isinstance(found, Denied) or (self.adapter.token == token and self._is_alive()):
            return found
        return self._sign_in(instead_of=token) or _send(asked, request, writes)

    def _is_alive(self) -> bool:
        """Whether the vault knows our token; 403 alone does not tell a dead token from a policy."""
        found = _send("look at our token", lambda: self.adapter.get(f"{OWN_TOKEN}/lookup-self"), writes=False)
        return not isinstance(found, Denied)

    def _sign_in(self, instead_of: str | None) -> VaultError | None:
        """Get a longer lived token than `instead_of`, unless another thread just did."""
        with self._signing_in:
            if self.adapter.token != instead_of:
                return None
            if time.monotonic() > self._renew_at and self._renewed():
                return None
            asked = "sign in to the vault"
            try:
                found = self._sign_in_once(asked)
            except OSError as error:
                found = SignedOut(f"{asked}: {error.filename} cannot be read; is the stack up?")
            if not isinstance(found, VaultError):
                self._accept(found)
                return None
            # A token in hand serves until it ends; do not ask again with every request.
            self._renew_at = time.monotonic() + PAUSES_SECONDS[-1]
            return found

    def _sign_in_once(self, asked: str) -> Answer | VaultError:
        if isinstance(self._identity, TokenFile):
            token = _line(self._identity.path)
            refused = SignedOut(f"{asked}: the token in {self._identity.path} was refused")
            # Given once and never renewed by us: the same token a second time means that it is dead.
            return refused if token == self.adapter.token else {"client_token": token}
        path, body = self._identity.sign_in()
        found = _send(asked, lambda: self.adapter.post(path, json=body), writes=False)
        if isinstance(found, VaultError):
            return found if found.retryable else SignedOut(f"{asked}: the secret-id is unknown or has expired")
        return found["auth"] if "auth" in found else NoAnswer.on_read(f"{asked}: what answered is no vault")

    def _renewed(self) -> bool:
        found = _send("renew our token", lambda: self.adapter.post(f"{OWN_TOKEN}/renew-self", json={}), writes=True)
        if isinstance(found, VaultError) or found["auth"]["lease_duration"] < self._lease_seconds / 2:
            return False  # near its longest life
        self._accept(found["auth"])
        return True

    def _accept(self, auth: Answer) -> None:
        self._lease_seconds = auth.get("lease_duration") or float("inf")
        self._renew_at = time.monotonic() + self._lease_seconds * RENEW_AT
        self.adapter.token = auth["client_token"]


def _send(asked: str, request: Callable[[], Any], writes: bool) -> Answer | VaultError:
    try:
        answer = request()
    except (hvac.exceptions.VaultError, OSError) as error:
        return translate(error, asked, writes=writes)
    if isinstance(answer, dict):
        return answer
    if answer.status_code == 204:
        return {}
    text = f"{asked}: what answered is no vault, or redirects to another (status {answer.status_code})"
    return NoAnswer(text) if writes else NoAnswer.on_read(text)


def _line(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
