"""The OpenAPI document as it is kept: what every route answers besides its own, and an example of everything.

FastAPI writes down what a route says of itself. What holds for all of them stands here: problem documents, the limits,
`Idempotency-Key`, the permission of a route, and examples that fit the schemas.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from deployments.gateway.origins import SAFE_METHODS
from deployments.gateway.problems import MEDIA_TYPE, NAMESPACE
from deployments.gateway.repeats import KEY_CHARACTERS_MAX
from deployments.gateway.sign_in import Needs

API = "/api/v1"
PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457: `type` is stable and for programs, `detail` is a sentence for people.",
    "properties": {
        "type": {"type": "string", "examples": [f"{NAMESPACE}no-such-bot"]},
        "title": {"type": "string", "examples": ["Not Found"]},
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "examples": [404]},
        "detail": {"type": "string", "examples": ["there is no bot @city_weather"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
                "required": ["field", "problem"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}
ALWAYS = {
    "401": "Nobody is signed in, or what was shown is no longer good.",
    "403": "The caller lacks the permission.",
    "422": "Something in the request is not as it must be; `errors` names each field.",
    "429": "More than one client may ask in a minute; `Retry-After` says when to come back.",
}
OTHERWISE = "Anything else that went wrong, such as 404, 405, 409, 413, 415 or 503."
REPEATS = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX, "pattern": "^[ -~]+$"},
    "description": "A text of the caller's own for this change: sent again with it, the change is answered as at first "
    "and happens once.",
}
# What a field of this name looks like in an example, where its schema does not say so itself.
FIELDS: Mapping[str, Any] = {
    "bot": "city_weather",
    "handle": "city_weather",
    "bot_name": "city_weather",
    "display_name": "City weather",
    "description": "Automated by @vive_ops",
    "operator_handle": "vive_ops",
    "time_zone": "Europe/Vienna",
    "text": "Vienna at 7: 4 °C, fog until 10.",
    "name": "Weather desk",
    "persona": "Weather desk",
    "tone": "plain",
    "username": "anna",
    "actor": "anna",
    "label": "city",
    "labels": ["city"],
    "interests": ["weather"],
    "languages": ["en"],
    "scope": "tweet.read tweet.write users.read offline.access",
    "use_case": "City services",
    "client_id": "bWFpbi1hcHA",
    "page": "http://127.0.0.1:8000/v2/runs",
    "login_url": "https://x.com/i/oauth2/authorize?...",
    "deployment": "publish-due-posts/every-minute",
    "reason": "asked for by its owner",
    "media": [],
    "x_post_id": "1993333333333333333",
    "x_user_id": "1001",
    "opens": "08:00:00",
    "closes": "20:00:00",
}
# Fields that exclude others, or that few want.
SELDOM = frozenset({"poll", "media", "reply_to_x_post_id", "quote_x_post_id", "reply_settings", "errors"})


def describe(app: FastAPI, routers: Sequence[tuple[str, APIRouter]]) -> None:
    """Let the application, made of these routers under their prefixes, write its document in this way."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(written(), dict(_permissions(routers)))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation does it


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def example(schema: Mapping[str, Any], document: Mapping[str, Any], name: str = "") -> Any:
    """Something that fits a schema; an optional field shows in it where people would mostly give it."""
    if "$ref" in schema:
        return example(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document, name)
    if schema.get("examples"):
        return schema["examples"][0]
    for way in ("anyOf", "oneOf", "allOf"):
        if way in schema:
            return example(schema[way][0], document, name)
    if "const" in schema or "enum" in schema:
        return schema.get("const", next(iter(schema.get("enum", [])), None))
    kind = schema.get("type")
    if name in FIELDS and _may_stand(FIELDS[name], schema, kind):
        return FIELDS[name]
    if kind == "object":
        needed = schema.get("required", ())
        shown = [one for one in schema.get("properties", {}).items() if one[0] in needed or one[0] not in SELDOM]
        return {field: example(below, document, field) for field, below in shown}
    if kind == "array":
        items = example(schema["items"], document, name) if "items" in schema else None
        least = max(1, schema.get("minItems", 0))
        return (
            [items] * least if items is not None else [example(one, document) for one in schema.get("prefixItems", [])]
        )
    return _scalar(schema, kind)


def _may_stand(value: Any, schema: Mapping[str, Any], kind: str | None) -> bool:
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    return isinstance(value, str) == (kind == "string")


def _scalar(schema: Mapping[str, Any], kind: str | None) -> Any:
    if kind in ("integer", "number"):
        shown = schema.get("default") or schema.get("minimum") or 1
        return int(shown) if kind == "integer" else shown
    if kind == "boolean":
        return bool(schema.get("default", True))
    if kind == "null" or kind is None:
        return None
    by_format = {
        "date-time": "2026-12-01T07:00:00Z",
        "date": "2026-12-01",
        "time": "07:00:00",
        "uuid": "0193a5f2-6c00-7000-8000-000000000001",
        "uri": "https://bots.example.org/oauth/callback",
    }
    return by_format.get(schema.get("format", ""), schema.get("default") or "...")


def _completed(document: dict[str, Any], permissions: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM
    for method, path, operation in operations(document):
        if not path.startswith(API):
            operation["responses"].pop("422", None)
            continue
        permission = permissions.get((method, path))
        if permission:
            operation["x-permission"] = permission
        if method not in SAFE_METHODS and permission:
            operation.setdefault("parameters", []).append(REPEATS)
        _answers(operation, signed_in=permission is not None)
        for content in _contents(operation):
            if "schema" in content and "example" not in content and content["schema"] != {}:
                content["example"] = example(content["schema"], document)
    return document


def _answers(operation: dict[str, Any], signed_in: bool) -> None:
    answers = operation["responses"]
    for status, said in ALWAYS.items():
        if signed_in or status in ("422", "429"):
            answers.setdefault(status, {"description": said})
    answers["422"] = {"description": ALWAYS["422"]}
    answers["default"] = {"description": OTHERWISE}
    for status, said in answers.items():
        if said.get("description") == "Successful Response":
            said["description"] = HTTPStatus(int(status)).phrase
        if status == "default" or int(status) >= 400:
            said["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _contents(operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "requestBody" in operation:
        yield from operation["requestBody"]["content"].values()
    for status, said in operation["responses"].items():
        if status.startswith("2"):
            yield from said.get("content", {}).values()


def _permissions(routers: Sequence[tuple[str, APIRouter]]) -> Iterator[tuple[tuple[str, str], str]]:
    for prefix, router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                for permission in _needed(route.dependant):
                    yield from (
                        ((method, f"{prefix}{route.path_format}"), permission) for method in route.methods or ()
                    )


def _needed(dependant: Any) -> Iterator[str]:
    if isinstance(dependant.call, Needs):
        yield dependant.call.permission
    for below in dependant.dependencies:
        yield from _needed(below)
