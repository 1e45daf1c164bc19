"""X's official OpenAPI document, cut to what the sandbox serves; in X's newer names, its older ones and closed.

`python -m tests.contract.x_spec openapi.json` writes `data/x_openapi.json` anew from the document that X publishes at
https://api.x.com/2/openapi.json; the file itself says which version it was made from.
"""

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "data" / "x_openapi.json"
NOTICE = (
    "An extract of X's API description, https://api.x.com/2/openapi.json, made for interoperability: the paths that "
    "the sandbox serves and the schemas that they need, without descriptions and examples. It is X's, under the terms "
    "named here, and not under the licence of this project."
)
SERVED = (
    "/2/media/metadata",
    "/2/media/upload",
    "/2/media/upload/initialize",
    "/2/media/upload/{id}/append",
    "/2/media/upload/{id}/finalize",
    "/2/trends/by/woeid/{woeid}",
    "/2/tweets",
    "/2/tweets/analytics",
    "/2/tweets/counts/recent",
    "/2/tweets/{id}",
    "/2/usage/tweets",
    "/2/users",
    "/2/users/by",
    "/2/users/by/username/{username}",
    "/2/users/me",
    "/2/users/personalized_trends",
    "/2/users/{id}",
    "/2/users/{id}/mentions",
    "/2/users/{id}/tweets",
)
NOT_SERVED = frozenset({"POST /2/media/upload"})
"""An operation that shares its path with one that is served."""

PROSE = frozenset({"description", "example", "examples", "externalDocs", "summary", "tags"})
OLDER_PROPERTIES = {
    "edit_history_post_ids": "edit_history_tweet_ids",
    "most_recent_post_id": "most_recent_tweet_id",
    "note_post": "note_tweet",
    "pinned_post_id": "pinned_tweet_id",
    "post_count": "tweet_count",
    "posts": "tweets",
    "referenced_posts": "referenced_tweets",
    "repost_count": "retweet_count",
    "total_post_count": "total_tweet_count",
}
OLDER_NAMES = {**OLDER_PROPERTIES, "post.fields": "tweet.fields"}
OLDER_EXPANSIONS = {**OLDER_PROPERTIES, "referenced_posts": "referenced_tweets.id"}
ELSEWHERE_DOCUMENTED = (
    "client-forbidden",
    "credits",
    "oauth1-permissions",
    "unsupported-authentication",
    "usage-capped",
)
"""Problems that X's documentation on errors knows and its OpenAPI document does not."""

SAME_IN_BOTH = frozenset({"PersonalizedTrend", "PersonalizedTrendFieldsParameter"})
"""Trends for one person came after the older names."""


def load() -> dict[str, Any]:
    """The extract, in X's newer names."""
    return dict(json.loads(FILE.read_text()))


def cut(document: dict[str, Any]) -> dict[str, Any]:
    """What of X's document the sandbox is measured by."""
    paths = {path: _bare(document["paths"][path]) for path in SERVED}
    for path, operations in paths.items():
        for method in [name for name in operations if f"{name.upper()} {path}" in NOT_SERVED]:
            del operations[method]
        for operation in operations.values():
            for answer in operation["responses"].values():
                answer["description"] = ""
    components: dict[str, dict[str, Any]] = {"securitySchemes": _bare(document["components"]["securitySchemes"])}
    waiting = list(_references(paths))
    while waiting:
        kind, name = waiting.pop().split("/")[2:]
        if name not in components.setdefault(kind, {}):
            components[kind][name] = _bare(document["components"][kind][name])
            waiting += _references(components[kind][name])
    info = {key: document["info"][key] for key in ("title", "version", "termsOfService", "license")}
    return {
        "openapi": document["openapi"],
        "info": {**info, "description": NOTICE},
        "servers": [{"url": server["url"]} for server in document["servers"]],
        "paths": paths,
        "components": components,
    }


def older(document: dict[str, Any]) -> dict[str, Any]:
    """The same document in the names that X used before, which it still takes and gives."""
    renamed = dict(_older(document))
    for kind, parts in document["components"].items():
        renamed["components"][kind] = {
            name: copy.deepcopy(part) if name in SAME_IN_BOTH else _older(part) for name, part in parts.items()
        }
    return renamed


def with_documented_problems(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with the problems that only X's documentation on errors names, about:blank among them.

    Source: https://docs.x.com/x-api/fundamentals/response-codes-and-errors.
    """
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    types = [f"https://api.{host}.com/2/problems/{name}" for name in ELSEWHERE_DOCUMENTED for host in ("x", "twitter")]
    schemas["DocumentedProblem"] = {
        "type": "object",
        "required": ["type", "title", "detail"],
        "properties": {
            "type": {"type": "string", "enum": ["about:blank", *types]},
            "title": {"type": "string"},
            "detail": {"type": "string"},
            "status": {"type": "integer"},
        },
    }
    documented = "#/components/schemas/DocumentedProblem"
    schemas["Problem"]["oneOf"].append({"$ref": documented})
    schemas["Problem"]["discriminator"]["mapping"] |= dict.fromkeys(["about:blank", *types], documented)
    return document


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The same document, but an answer to a request that was taken may hold nothing that is not in its schema."""
    document = copy.deepcopy(document)
    answers = [
        answer
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2")
    ]
    waiting, seen = list(_references(answers)), set()
    while waiting:
        name = waiting.pop().rpartition("/")[2]
        if name not in seen and not name.endswith("Problem"):
            seen.add(name)
            _close(document["components"]["schemas"][name])
            waiting += _references(document["components"]["schemas"][name])
    return document


def _bare(node: Any, named: bool = False) -> Any:
    """Without prose; `named` says that the keys are names that X chose, such as a property called description."""
    if isinstance(node, dict):
        return {
            key: _bare(value, named=key in ("properties", "securitySchemes", "scopes"))
            for key, value in node.items()
            if named or not (key in PROSE or key.startswith("x-"))
        }
    return [_bare(each) for each in node] if isinstance(node, list) else node


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(target := node.get("$ref"), str):
            yield target
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


def _older(node: Any, expansions: bool = False) -> Any:
    if isinstance(node, dict):
        expansions = expansions or node.get("name") == "expansions"
        return {OLDER_PROPERTIES.get(key, _older_type(key)): _older(value, expansions) for key, value in node.items()}
    if isinstance(node, list):
        return [_older(each, expansions) for each in node]
    if isinstance(node, str):
        return (OLDER_EXPANSIONS if expansions else OLDER_NAMES).get(node, _older_type(node))
    return node


def _older_type(text: str) -> str:
    return text.replace("https://api.x.com/2/problems/", "https://api.twitter.com/2/problems/")


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("properties"):
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for each in node:
            _close(each)


if __name__ == "__main__":
    whole = json.loads(Path(sys.argv[1]).read_text())
    FILE.write_text(json.dumps(cut(whole), indent=1, sort_keys=True) + "\n")
