"""The control plane of an X sandbox as the commands use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from config import loading
from config.places import Places
from deployments.cli.failures import FAILED, REFUSED, USAGE, CommandError
from deployments.local import programs

TIMEOUT_SECONDS = 30.0
TOKEN_FILE, ADDRESS_FILE = "control.token", "address"


class Control:
    """One conversation with a sandbox."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self._client = httpx.Client(
            base_url=f"{address}/sandbox",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    def get(self, path: str, **query: Any) -> Any:
        """What it answers."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """What it answers to a change."""
        return self._ask("POST", path, json=body)

    def post_text(self, path: str, body: str) -> Any:
        """The same for JSON that a person wrote."""
        return self._ask("POST", path, content=body.encode())

    def delete(self, path: str) -> Any:
        """What it answers when something is taken away."""
        return self._ask("DELETE", path)

    def close(self) -> None:
        """End the conversation."""
        self._client.close()

    def _ask(self, method: str, path: str, **what: Any) -> Any:
        try:
            answer = self._client.request(method, path, **what)
        except httpx.HTTPError as error:
            raise CommandError(
                f"no sandbox answers at {self.address} ({type(error).__name__}): `vivesphere up` starts that of the "
                "stack, `vivesphere sandbox` one that runs alone"
            ) from None
        if answer.is_success:
            return answer.json()
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            raise CommandError(f"what answers at {self.address} is no X sandbox (HTTP {answer.status_code})") from None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise CommandError(f"the sandbox at {self.address} has another control token", REFUSED)
        code = USAGE if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY else FAILED
        raise CommandError(detail if isinstance(detail, str) else "\n".join(map(_sentence, detail)), code)


@contextmanager
def control(folder: Path | None) -> Iterator[Control]:
    """The sandbox that runs alone with this folder, or without one that of the stack."""
    address, token_file = _stack() if folder is None else _alone(folder)
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise CommandError(f"there is no control token in {token_file}: start the sandbox first") from None
    except OSError as error:
        raise CommandError(f"the control token in {token_file} cannot be read: {error.strerror}", REFUSED) from None
    talking = Control(address, token)
    try:
        yield talking
    finally:
        talking.close()


def _stack() -> tuple[str, Path]:
    places = Places(loading.settings())
    if not places.x_is_sandbox:
        raise CommandError(f"this stack speaks to {places.x} and has no sandbox: name one with --folder")
    return places.x, programs.sandbox_token_file(places)


def _alone(folder: Path) -> tuple[str, Path]:
    try:
        address = (folder / ADDRESS_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise CommandError(f"no sandbox was started with {folder}: `vivesphere sandbox --folder {folder}`") from None
    return address, folder / TOKEN_FILE


def _sentence(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc'])) or 'the whole'}: {error['msg']}"
