"""Our API answers as its own OpenAPI document says, to what the document allows and to what it does not."""

import asyncio
import copy
import re
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, CheckFunction, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.places import Places
from config.settings import Settings
from deployments.gateway import contract
from deployments.gateway.app import create_app
from tests.gateway.conftest import places_of, vault
from tests.migrated_postgres import fresh_database
from tests.openbao_process import OpenBaoProcess
from tests.postgres_process import PostgresProcess
from tests.prefect_stand_in import PrefectStandIn, listening
from tests.running_stack import eventually

__all__ = ["vault"]

DOCUMENT = create_app(Places(Settings())).openapi()
NAMES = [f"{method} {path}" for method, path, _ in contract.operations(DOCUMENT) if path.startswith(contract.API)]
CONFORMS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
THE_SAME_EACH_TIME = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
# Where nothing is asked for, nothing can be wrong.
ASKED = [
    pytest.param(mode, f"{method} {path}", id=f"{mode.value} {method} {path}")
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    for method, path, operation in contract.operations(DOCUMENT)
    if path.startswith(contract.API)
    if mode is GenerationMode.POSITIVE or operation.get("parameters") or "requestBody" in operation
]
# Sent in a body as bytes, of which any is a file to us or none.
FILES = {"POST /api/v1/media"}
# All it takes is one text in the query: a list of one text looks the same there, and is none the worse.
ONE_TEXT = {"GET /api/v1/config/settings", "GET /api/v1/today"}


class World:
    """A gateway on a socket of its own, and things for the requests to find."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        eventually(lambda: places.cli_key.exists() and self._answers(), 60)
        key = places.cli_key.read_text(encoding="utf-8")
        self.headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=f"{places.gateway}/api/v1", headers=self.headers, trust_env=False, timeout=60)
        self._fill()

    def close(self) -> None:
        self.http.close()
        self._ended.set()
        self._thread.join()

    def aimed(self) -> dict[str, Any]:
        """The document with what is there, or nearly, in the place of names and ids."""
        document = copy.deepcopy(DOCUMENT)
        for _, path, operation in contract.operations(document):
            for parameter in operation.get("parameters", []):
                found = self._known(path, parameter["name"])
                if found:
                    parameter["schema"] = {"enum": found}
        schemas = document["components"]["schemas"]
        schemas["Draft"]["properties"]["bot"] = {"enum": ["city_weather", "nobody_here"]}
        return document

    def _known(self, path: str, name: str) -> list[str]:
        known = {
            "handle": ["city_weather", "@CITY_WEATHER", "nobody_here"],
            "bot": ["city_weather", "nobody_here"],
            "username": ["anna", "nobody"],
            "post_id": [*self.posts, "0193a5f2-6c00-7000-8000-000000000001"],
            "label": ["city", "none"],
        }
        # A cursor is what we gave out; whatever else is refused.
        return known.get(name, [])

    def _fill(self) -> None:
        bot = {"bot_name": "city_weather", "labels": ["city"], "operator_handle": "vive_ops"}
        self._made("/bots/create", bot)
        self._made("/users", {"username": "anna", "password": "a lamp in every window"})  # pragma: allowlist secret
        drafts = [{"bot": "city_weather", "text": f"Reading {n}", "due_at": "2100-01-01T00:00:00Z"} for n in range(3)]
        receipts = self.http.post("/posts", json=drafts).json()
        self.posts = [receipt["post_id"] for receipt in receipts if receipt["post_id"]]

    def _made(self, path: str, body: dict[str, Any]) -> None:
        self.http.post(path, json=body).raise_for_status()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.places.gateway}/api/v1/health", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    async def _serve(self) -> None:
        port = self.places.settings.gateway.port or 0
        async with PrefectStandIn().running(self.places), listening(create_app(self.places), port):
            await asyncio.to_thread(self._ended.wait)


@pytest.fixture(scope="module")
def world(
    postgres: PostgresProcess,
    vault: OpenBaoProcess,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    with fresh_database(postgres, "api_spec") as database:
        home = tmp_path_factory.mktemp("api")
        found = World(places_of(vault, database, home, changes_per_minute=1_000_000, own_per_minute=1_000_000))
        yield found
        found.close()


def ask(world: World, case: Case, checks: list[CheckFunction]) -> int:
    """Send one request as the admin and check the answer; its status."""
    answer = case.call(base_url=world.places.gateway, headers=world.headers)
    case.validate_response(answer, checks=checks, headers=world.headers)
    return answer.status_code


@pytest.mark.parametrize(("mode", "name"), ASKED)
def test_an_answer_is_as_the_document_says(world: World, name: str, mode: GenerationMode) -> None:
    method, path = name.split()
    positive = mode is GenerationMode.POSITIVE
    document = world.aimed() if positive else DOCUMENT
    operation = schemathesis.openapi.from_dict(document)[path][method]
    checks = CONFORMS if positive or name in FILES | ONE_TEXT else [*CONFORMS, negative_data_rejection]
    statuses: Counter[int] = Counter()
    known = {
        one["name"] for one in document["paths"][path][method.lower()].get("parameters", ()) if one["in"] == "query"
    }

    @THE_SAME_EACH_TIME
    @given(operation.as_strategy(generation_mode=mode))
    def ask_each(case: Case) -> None:
        # A parameter that nobody asks for is passed over, as everywhere on the web, and an object or a list has no form
        # in a query: an empty one is no parameter at all.
        query = case.query or {}
        carried = set(query) <= known and not any(isinstance(value, dict | list) for value in query.values())
        asked = [check for check in checks if check is not negative_data_rejection or carried]
        statuses[ask(world, case, asked)] += 1

    ask_each()
    assert statuses


@pytest.mark.parametrize("path", sorted({name.split()[1] for name in NAMES}))
def test_a_method_that_is_not_there_is_refused_with_those_that_are(world: World, path: str) -> None:
    there = {method.upper() for method in DOCUMENT["paths"][path]}
    method = next(method for method in ("PUT", "DELETE", "PATCH") if method not in there)
    address = re.sub(r"\{\w+\}", "x", path)
    answer = world.http.request(method, address.removeprefix("/api/v1"))
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    allowed = {one.strip() for one in answer.headers["allow"].split(",")}
    assert allowed & there
    jsonschema.validate(answer.json(), contract.PROBLEM)


def test_every_example_fits_its_schema() -> None:
    for method, path, operation in contract.operations(DOCUMENT):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for said in [*bodies, *operation["responses"].values()]:
            for content in said.get("content", {}).values():
                if "example" in content:
                    schema = {**content["schema"], "components": DOCUMENT["components"]}
                    jsonschema.validate(content["example"], schema), (method, path)


def test_the_document_lets_people_sign_in_and_names_each_permission() -> None:
    assert DOCUMENT["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    open_to_all = {"GET /api/v1/health", "POST /api/v1/auth/login"}
    for method, path, operation in contract.operations(DOCUMENT):
        name = f"{method} {path}"
        if path.startswith(contract.API) and name not in open_to_all:
            assert operation["x-permission"], name
            if name != "GET /api/v1/auth/validate":
                assert operation["security"] == [{"HTTPBearer": []}], name
