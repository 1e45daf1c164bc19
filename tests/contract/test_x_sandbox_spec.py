"""The sandbox answers as X's official OpenAPI document says, in either generation of its names."""

import copy
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, CheckFunction, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from deployments.x_sandbox.answers import PROBLEMS
from deployments.x_sandbox.drafts import NOT_OFFERED, NOT_OFFERED_MEDIA
from deployments.x_sandbox.settings import EndpointName
from deployments.x_sandbox.uploads import BEGINNINGS
from tests.contract import x_spec
from tests.x_sandbox_process import Caller, XSandboxProcess

GENERATIONS = {"newer": x_spec.load(), "older": x_spec.older(x_spec.load())}
IN_DOCUMENT = [
    f"{method.upper()} {path}" for path, operations in x_spec.load()["paths"].items() for method in operations
]
OPERATIONS = [name for name in IN_DOCUMENT if name in get_args(EndpointName)]
ELSEWHERE = {
    "POST /oauth2/token",
    "POST /2/oauth2/token",
    "POST /2/oauth2/revoke",
    "POST /1.1/media/upload.json",
    "GET /1.1/media/upload.json",
    "POST /1.1/media/metadata/create.json",
}
"""X describes these in its documentation alone."""

FOR_APPS_ALONE = {"/2/usage/tweets"}
DOCUMENTED_STATUSES = frozenset({200, 201, 400, 401, 402, 403, 404, 429})
"""Of https://docs.x.com/x-api/fundamentals/response-codes-and-errors; the OpenAPI document says `default`."""

NOT_OF_VERSION_2 = {
    "account-locked",
    "invalid-refresh-token",
    "not-found-empty",
    "too-many-requests-code-88",
    "user-suspended-code-64",
}
"""Refusals by other parts of X: an older version of its API, the network in front of it, OAuth."""

CONFORMS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
THE_SAME_EACH_TIME = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(92)
FILM = bytes(4) + b"ftyp" + bytes(92)
NO_LIMIT = {"user_15_minutes": None, "user_24_hours": None, "app_15_minutes": None, "app_24_hours": None}


class World:
    """Accounts, posts and uploads for the requests to find."""

    def __init__(self, sandbox: XSandboxProcess) -> None:
        self.sandbox = sandbox
        limits = dict.fromkeys(get_args(EndpointName), NO_LIMIT)
        sandbox.settings(reply_gate=False, duplicate_refusal=False, limits=limits)
        self.app_token = sandbox.app_only_token()
        self.alice, bob, hidden = Caller(sandbox, "alice"), Caller(sandbox, "bob"), Caller(sandbox, "hidden")
        picture, film = self.upload("image/png", PICTURE), self.upload("video/mp4", FILM)
        first = self.alice.posted("@bob, #rain & <wind>: https://example.org/forecast $VIVE")
        bobs = bob.posted("@alice yes", quote_tweet_id=first, reply_settings="mentionedUsers")
        hiddens = hidden.posted("to myself")
        media = {"media_ids": [picture]}
        more = [
            self.alice.posted("a thread", reply={"in_reply_to_tweet_id": first}),
            self.alice.posted("a picture", media=media, made_with_ai=True),
            self.alice.posted("which?", poll={"options": ["a", "b"], "duration_minutes": 60}),
        ]
        sandbox.account("hidden", protected=True)
        suspended = sandbox.account("suspended", suspended=True)
        self.posts = [first, *more, bobs, hiddens, "1"]
        self.bobs = bobs
        self.users = [self.alice.id, bob.id, hidden.id, suspended["id"], "1"]
        usernames = ["alice", "BOB", "hidden", "suspended", "nobody"]
        hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        self.asked: dict[str, list[Any]] = {
            "username": usernames,
            "usernames": usernames,
            "woeid": [1, 23424977, 5],
            "query": ["rain OR thread", "from:alice -#rain"],
            "search_count.fields": ["start", "end"],
            "start_time": [(datetime.now(UTC) - timedelta(days=1)).isoformat(), hour_ago],
            "end_time": [hour_ago, (datetime.now(UTC) - timedelta(minutes=1)).isoformat()],
        }
        self.media = [picture, film, self.begin("image/gif", 5_000_000), "1"]

    def begin(self, media_type: str, total_bytes: int) -> str:
        opening = {"media_type": media_type, "total_bytes": total_bytes}
        answer = self.alice.http.post("/2/media/upload/initialize", json=opening)
        return str(answer.raise_for_status().json()["data"]["id"])

    def upload(self, media_type: str, content: bytes) -> str:
        media_id = self.begin(media_type, len(content))
        form: dict[str, Any] = {"data": {"segment_index": "0"}, "files": {"media": content}}
        self.alice.http.post(f"/2/media/upload/{media_id}/append", **form).raise_for_status()
        self.alice.http.post(f"/2/media/upload/{media_id}/finalize").raise_for_status()
        return media_id

    def aimed(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with what is there in the place of any id, and without what the sandbox does not play."""
        document = copy.deepcopy(document)
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for parameter in operation.get("parameters", []):
                    if known := self._known(method, path, parameter.get("name", "")):
                        plural = parameter["schema"].get("type") == "array"
                        one = {"enum": known}
                        parameter["schema"] = {"type": "array", "minItems": 1, "items": one} if plural else one
        self._aim_bodies(document["components"]["schemas"])
        return document

    def _aim_bodies(self, schemas: dict[str, Any]) -> None:
        create = schemas["CreatePostsRequest"]
        create["required"] = ["text"]
        for name in NOT_OFFERED:
            create["properties"].pop(name, None)
        create["properties"]["text"]["maxLength"] = 100
        create["properties"]["quote_tweet_id"]["enum"] = self.posts
        schemas["CreatePostsReply"]["properties"]["in_reply_to_tweet_id"]["enum"] = self.posts
        media = schemas["CreatePostsMedia"]["properties"]
        for name in NOT_OFFERED_MEDIA:
            media.pop(name, None)
        media["media_ids"]["items"]["enum"] = self.media
        opening = schemas["InitializeMediaUploadRequest"]
        opening["required"] = ["media_type", "total_bytes"]
        opening["properties"]["media_type"]["enum"] = list(BEGINNINGS)
        metadata = schemas["CreateMediaMetadataRequest"]
        metadata |= {"required": ["id", "metadata"], "additionalProperties": False}
        metadata["properties"]["id"]["enum"] = self.media
        kept = schemas["CreateMediaMetadataMetadata"]
        kept |= {"required": ["alt_text"], "additionalProperties": False}
        kept["properties"] = {"alt_text": kept["properties"]["alt_text"]}
        schemas["CreateMediaMetadataMetadataAltText"]["additionalProperties"] = False

    def _known(self, method: str, path: str, parameter: str) -> list[Any]:
        if parameter in self.asked:
            return self.asked[parameter]
        if parameter not in ("id", "ids", "media_id"):
            return []
        if method == "delete":
            return [*(self.alice.posted("to be deleted") for _ in range(5)), self.bobs, "1"]
        return {"tweets": self.posts, "users": self.users, "media": self.media}[path.split("/")[2]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield World(sandbox)


def operation(document: dict[str, Any], name: str) -> APIOperation:
    method, path = name.split()
    return schemathesis.openapi.from_dict(document)[path][method]


def ask(world: World, case: Case, checks: list[CheckFunction]) -> int:
    """Send one request as alice, or as her app where X answers apps alone, and check the answer; its status."""
    token = world.app_token if case.operation.path in FOR_APPS_ALONE else world.alice.token
    answer = case.call(base_url=world.sandbox.url, headers={"Authorization": f"Bearer {token}"})
    case.validate_response(answer, checks=checks)
    assert answer.status_code in DOCUMENTED_STATUSES
    return answer.status_code


def test_the_extract_is_what_the_script_cuts() -> None:
    assert x_spec.cut(x_spec.load()) == x_spec.load()


def test_every_endpoint_is_measured_by_the_document() -> None:
    assert set(get_args(EndpointName)) - ELSEWHERE == set(IN_DOCUMENT), "name its path in tests/contract/x_spec.py"


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_what_the_document_allows_is_answered_as_it_says(world: World, generation: str, name: str) -> None:
    world.sandbox.settings(new_names=generation == "newer")
    document = x_spec.closed(x_spec.with_documented_problems(world.aimed(GENERATIONS[generation])))
    statuses: Counter[int] = Counter()

    @THE_SAME_EACH_TIME
    @given(operation(document, name).as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask_each(case: Case) -> None:
        statuses[ask(world, case, CONFORMS)] += 1

    ask_each()
    assert any(200 <= status < 300 for status in statuses), statuses


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_what_the_document_does_not_allow_is_refused_as_it_says(world: World, generation: str, name: str) -> None:
    world.sandbox.settings(new_names=generation == "newer")
    document = x_spec.with_documented_problems(GENERATIONS[generation])

    @THE_SAME_EACH_TIME
    @given(operation(document, name).as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask_each(case: Case) -> None:
        ask(world, case, [*CONFORMS, negative_data_rejection])

    ask_each()


@pytest.mark.parametrize("problem", sorted(PROBLEMS.keys() - NOT_OF_VERSION_2))
def test_a_refusal_that_is_called_up_has_the_shape_of_a_problem(world: World, problem: str) -> None:
    document = x_spec.with_documented_problems(x_spec.older(x_spec.load()))
    world.sandbox.fault("problem", problem=problem, endpoint="GET /2/users/me", count=1)
    assert ask(world, operation(document, "GET /2/users/me").Case(), CONFORMS) >= 400
