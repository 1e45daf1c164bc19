"""A real X sandbox in a process of its own, for every test that talks to X."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

STOP_SECONDS = 10
REDIRECT_URI = "http://127.0.0.1:8000/callback"


class XSandboxProcess:
    """One sandbox on a free port with its state in `folder`; a restart keeps both.

    Use it as a context manager. The control calls are synchronous and short; `control` is the client below them.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.token_file = folder / "control.token"
        self.port = 0
        self.since = 0
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where X is, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process to send signals to."""
        return self._running().pid

    def start(self) -> None:
        """Start the process and return once it serves."""
        with (self.folder / "sandbox.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deployments.x_sandbox"]
                + ["--port", str(self.port), "--folder", str(self.folder), "--control-token-file", str(self.token_file)]
                + list(self._arguments),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        address = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not address:
            raise RuntimeError(f"the sandbox did not start:\n{(self.folder / 'sandbox.log').read_text()}")
        self.port = int(address.rpartition(":")[2])
        token = self.token_file.read_text().strip()
        self.control = httpx.Client(
            base_url=f"{self.url}/sandbox", headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )

    def stop(self) -> int:
        """End it politely; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it as a crash would."""
        return self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same port with the same state."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the whole process; the kernel goes on taking connections and bytes for it."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._running().send_signal(signal.SIGCONT)

    def app(self, name: str = "app", confidential: bool = True, redirect_uri: str = REDIRECT_URI) -> dict[str, Any]:
        """Make or find a developer app: client_id, client_secret."""
        body = {"name": name, "redirect_uris": [redirect_uri], "confidential": confidential}
        return dict(self._ask("POST", "/apps", body))

    def new_secret(self, app: str = "app", old_works: bool = False) -> str:
        """Another client secret of an app; by default the old one and its tokens end."""
        return str(self._ask("POST", "/secrets", {"app": app, "old_works": old_works})["client_secret"])

    def accounts(self, *usernames: str) -> list[dict[str, Any]]:
        """Make or find accounts: id, username, name, description."""
        return list(self._ask("POST", "/accounts", [{"username": username} for username in usernames]))

    def account(self, username: str, **profile: Any) -> dict[str, Any]:
        """Make or change one account: name, description, protected, suspended."""
        return dict(self._ask("POST", "/accounts", [{"username": username, **profile}])[0])

    def tokens(self, *usernames: str, scopes: Sequence[str] = (), app: str = "app") -> list[dict[str, Any]]:
        """Accounts with fresh tokens in one step: username, account_id, access_token, refresh_token, expires_in."""
        self.accounts(*usernames)
        wanted: dict[str, Any] = {"client_id": self.app(app)["client_id"], "accounts": list(usernames)}
        if scopes:
            wanted["scopes"] = list(scopes)
        return list(self._ask("POST", "/tokens", wanted))

    def oauth1_token(self, username: str, app: str = "app", read_only: bool = False) -> dict[str, Any]:
        """An account with an OAuth 1.0a token: consumer_key, consumer_secret, access_token, access_token_secret."""
        self.accounts(username)
        wanted = {"client_id": self.app(app)["client_id"], "accounts": [username], "read_only": read_only}
        return dict(self._ask("POST", "/oauth1-tokens", wanted)[0])

    def app_only_token(self, app: str = "app") -> str:
        """A token with which an app reads for nobody."""
        made = self.app(app)
        answer = httpx.post(
            f"{self.url}/2/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(made["client_id"], made["client_secret"]),
            trust_env=False,
        )
        return str(answer.raise_for_status().json()["access_token"])

    def fault(self, fault: str, **how: Any) -> dict[str, Any]:
        """Activate a fault, as in `fault("drop", when="after", endpoint="POST /2/tweets", count=1)`."""
        return dict(self._ask("POST", "/faults", {"fault": fault, **how}))

    def heal(self) -> None:
        """End every fault."""
        self._ask("DELETE", "/faults")

    def settings(self, **change: Any) -> dict[str, Any]:
        """Merge a change into the settings."""
        return dict(self._ask("POST", "/settings", change))

    def clock(self, **change: Any) -> dict[str, Any]:
        """Set or speed up the clock: `now`, `ahead_seconds` (of the wall clock) or `forward_seconds`; `speed`."""
        return dict(self._ask("POST", "/clock", change))

    def spend(self) -> dict[str, Any]:
        """What was spent: usd, apps, accounts."""
        return dict(self._ask("GET", "/spend"))

    def credits(self, usd: float | None, **owner: str) -> None:
        """What an app (`client_id`) or an `account` may still spend; None is as much as it likes."""
        self._ask("POST", "/credits", {"usd": usd, **owner})

    def reset(self, keep_accounts: bool = False) -> None:
        """Forget posts and faults, and unless told otherwise accounts, apps, tokens and settings.

        The ledger itself forgets nothing; `ledger` reads from here on.
        """
        self.since = self._ask("POST", "/reset", {"keep_accounts": keep_accounts})["last_seq"]

    def ledger(self, *kinds: str, after: int | None = None) -> list[dict[str, Any]]:
        """All entries of these kinds (or of all) that follow number `after`, which is the last reset if left out."""
        entries: list[dict[str, Any]] = []
        after = self.since if after is None else after
        while True:
            page = self._ask("GET", f"/ledger?after={after}&kinds={','.join(kinds)}")
            if not page["entries"]:
                return entries
            entries += page["entries"]
            after = page["next_after"]

    async def ledger_holds(self, kind: str, count: int = 1, within_seconds: float = 10) -> list[dict[str, Any]]:
        """Wait until there are `count` entries of a kind; raises TimeoutError with what was there."""
        deadline = asyncio.get_running_loop().time() + within_seconds
        while len(entries := self.ledger(kind)) < count:
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{count} x {kind} wanted, the ledger has {entries}")
            await asyncio.sleep(0.02)
        return entries

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.control.request(method, path, json=body)
        if answer.is_error:
            raise RuntimeError(f"{method} /sandbox{path}: {answer.status_code} {answer.text}")
        return answer.json()

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        self.control.close()
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            return process.wait(STOP_SECONDS)
        finally:
            process.kill()
            if process.stdout:
                process.stdout.close()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the sandbox is not running")
        return self._process


class Caller:
    """An account that speaks X's API."""

    def __init__(self, sandbox: XSandboxProcess, username: str, **how: Any) -> None:
        token = sandbox.tokens(username, **how)[0]
        self.id: str = token["account_id"]
        self.token: str = token["access_token"]
        self.http = httpx.Client(
            base_url=sandbox.url, headers={"Authorization": f"Bearer {self.token}"}, trust_env=False
        )

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """A read that X answers; dots in a name are written as two underscores."""
        params = {name.replace("__", "."): value for name, value in query.items()}
        return dict(self.http.get(path, params=params).raise_for_status().json())

    def post(self, text: str, **more: Any) -> httpx.Response:
        """Create a post, whatever X says to it."""
        return self.http.post("/2/tweets", json={"text": text, **more})

    def posted(self, text: str, **more: Any) -> str:
        """Create a post; its id."""
        return str(self.post(text, **more).raise_for_status().json()["data"]["id"])

    def timeline(self, **query: Any) -> dict[str, Any]:
        """The caller's own timeline."""
        return self.get(f"/2/users/{self.id}/tweets", **query)
