"""The API as the commands use it: its address and key, and its problems as exit codes."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import httpx

from config import loading
from config.places import Places
from deployments.cli.failures import FAILED, PERSON_NEEDED, REFUSED, USAGE, CommandError

TIMEOUT_SECONDS = 60.0
UPLOAD_SECONDS = 600.0
# For answers over everything there is.
LONG_SECONDS = 3600.0
POLL_SECONDS = 0.3
CODES = {401: REFUSED, 403: REFUSED, 422: USAGE}
# The problem's own type says more than its status.
CODES_BY_TYPE = {"cannot-connect": PERSON_NEEDED}
ENDED = ("completed", "failed", "crashed", "cancelled")


class Api:
    """One conversation with the gateway."""

    def __init__(self, address: str, key: str, trust: ssl.SSLContext) -> None:
        self._address = address
        self._client = httpx.Client(
            base_url=f"{address}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            verify=trust,
        )

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers, a list with all its parts; parameters that are None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        answer = self._answer("GET", path, params=given)
        found = answer.json()
        while "next" in answer.links:
            answer = self._answer("GET", f"{self._address}{answer.links['next']['url']}")
            found += answer.json()
        return found

    def part(self, path: str, **query: Any) -> Any:
        """The first part of a list."""
        return self._answer("GET", path, params=query).json()

    def lines(self, path: str, **query: Any) -> Iterator[str]:
        """A long answer line by line, however long it takes."""
        given = {name: value for name, value in query.items() if value is not None}
        with self._errors(), self._client.stream("GET", path, params=given, timeout=LONG_SECONDS) as answer:
            if not answer.is_success:
                answer.read()
                raise _error(answer, self._address)
            yield from answer.iter_lines()

    def post(self, path: str, body: Any = None, *, revision: int | None = None, **query: Any) -> Any:
        """What the API answers to a change, of a thing that stands at `revision` where one is named."""
        given = {name: value for name, value in query.items() if value is not None}
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        return self._sent("POST", path, json=body, params=given, headers=headers)

    def post_long(self, path: str, body: Any, **query: Any) -> Any:
        """What the API answers to a change of very many things."""
        return self._sent("POST", path, json=body, params=query, timeout=LONG_SECONDS)

    def patch(self, path: str, body: Any, revision: int | None = None) -> Any:
        """What the API answers to a change of a thing that stands at `revision`."""
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        return self._sent("PATCH", path, json=body, headers=headers)

    def upload(self, path: str, content: BinaryIO, **query: Any) -> Any:
        """What the API answers to a file."""
        given = {name: value for name, value in query.items() if value is not None}
        headers = {"Content-Type": "application/octet-stream"}
        return self._sent("POST", path, content=content, params=given, headers=headers, timeout=UPLOAD_SECONDS)

    def delete(self, path: str) -> Any:
        """What the API answers when something ends."""
        return self._ask("DELETE", path, None, {})

    def close(self) -> None:
        """End the conversation."""
        self._client.close()

    def _ask(self, method: str, path: str, body: Any, query: dict[str, Any]) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return self._sent(method, path, json=body, params=given)

    def _sent(self, method: str, path: str, **request: Any) -> Any:
        answer = self._answer(method, path, **request)
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._errors():
            answer = self._client.request(method, path, **request)
        if answer.is_success:
            return answer
        raise _error(answer, self._address)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            if isinstance(_first(error), ssl.SSLCertVerificationError):
                raise CommandError(
                    f"the certificate of {self._address} is not trusted: name its CA in gateway.ca_file"
                ) from None
            raise CommandError(
                f"the gateway does not answer at {self._address}: start the stack with `vivesphere up`"
            ) from None
        except httpx.HTTPError as error:
            raise CommandError(
                f"the gateway at {self._address} broke off ({type(error).__name__}): what was asked may have happened; "
                "look before you repeat it"
            ) from None


@contextmanager
def api() -> Iterator[Api]:
    """The gateway of the settings, with the key that it made for this command."""
    places = Places(loading.settings())
    file = places.cli_key
    try:
        key = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise CommandError(f"there is no key in {file}: `vivesphere up` makes it") from None
    except OSError as error:
        raise CommandError(f"the key in {file} cannot be read: {error.strerror}", REFUSED) from None
    talking = Api(places.gateway, key, places.gateway_trust())
    try:
        yield talking
    finally:
        talking.close()


def wait_for_run(api: Api, run_id: str) -> Any:
    """The run once it has ended, however long that takes."""
    while (run := api.get(f"/runs/{run_id}"))["state"] not in ENDED:
        time.sleep(POLL_SECONDS)
    return run


def _first(error: BaseException) -> BaseException:
    """The error that the others speak of."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


def _error(answer: httpx.Response, address: str) -> CommandError:
    try:
        problem = answer.json()
        kind, detail = str(problem["type"]).rpartition(":")[2], str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return CommandError(f"what answers at {address} is not our gateway (HTTP {answer.status_code})")
    lines = [f"{error['field']}: {error['problem']}" for error in problem.get("errors", [])]
    code = CODES_BY_TYPE.get(kind) or CODES.get(answer.status_code, FAILED)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        detail += ": name a key of yours in gateway.key_file, or delete secrets/cli.key and restart the gateway"
    return CommandError("\n".join(lines) or detail, code)
