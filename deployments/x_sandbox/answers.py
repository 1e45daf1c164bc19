"""What this X answers: JSON in X's shapes, and its problems by name."""

import json
from dataclasses import dataclass, field
from typing import Any

Headers = list[tuple[bytes, bytes]]

JSON = b"application/json; charset=utf-8"
PROBLEM = b"application/problem+json"
HTML = b"text/html; charset=utf-8"


@dataclass(slots=True)
class Answer:
    """One HTTP answer; `problem` is the sentence by which the ledger remembers a refusal."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)
    problem: str | None = None


def ok(content: dict[str, Any], status: int = 200) -> Answer:
    """X's answer to a request that it took."""
    return Answer(status, json.dumps(content, separators=(",", ":")).encode())


def problem(status: int, title: str, detail: str | None = None, **more: Any) -> Answer:
    """X's answer to a request that it refused; the detail repeats the title where X has nothing to add."""
    content = {"title": title, "type": "about:blank", "status": status, "detail": detail or title, **more}
    return Answer(status, json.dumps(content, separators=(",", ":")).encode(), PROBLEM, problem=content["detail"])


def problem_type(name: str, new_names: bool = False) -> str:
    """The address that names a problem, under the host of the asked generation."""
    return f"https://api.{'x' if new_names else 'twitter'}.com/2/problems/{name}"


def invalid(messages: list[tuple[dict[str, list[str]], str]], new_names: bool = False) -> Answer:
    """X's 400: each part is the offending parameters and a sentence on them."""
    content = {
        "errors": [{"parameters": parameters, "message": message} for parameters, message in messages],
        "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.",
        "type": problem_type("invalid-request", new_names),
    }
    text = "; ".join(message for _, message in messages)
    return Answer(400, json.dumps(content, separators=(",", ":")).encode(), PROBLEM, problem=text)


def missing(value: str, parameter: str, new_names: bool, kind: str = "tweet") -> dict[str, Any]:
    """The error by which a read names something that is not there."""
    return {
        "value": value,
        "detail": f"Could not find {kind} with {parameter}: [{value}].",
        "title": "Not Found Error",
        "resource_type": kind,
        "parameter": parameter,
        "resource_id": value,
        "type": problem_type("resource-not-found", new_names),
    }


def suspended(value: str, parameter: str, new_names: bool) -> dict[str, Any]:
    """The error by which a read names an account that X has suspended."""
    return missing(value, parameter, new_names, "user") | {
        "detail": f"User has been suspended: [{value}].",
        "title": "Forbidden",
    }


def not_for_you(value: str, parameter: str, new_names: bool, kind: str = "tweet") -> dict[str, Any]:
    """The error by which a read names something that is there, but not for this caller."""
    noun = "Tweet" if kind == "tweet" else kind
    return {
        "value": value,
        "detail": f"Sorry, you are not authorized to see the {noun} with {parameter}: [{value}].",
        "title": "Authorization Error",
        "section": "data",
        "resource_type": kind,
        "parameter": parameter,
        "resource_id": value,
        "type": problem_type("not-authorized-for-resource", new_names),
    }


def not_this_field(value: str, parameter: str, field_name: str, new_names: bool) -> dict[str, Any]:
    """The error by which a read names a field of a post that is not for this caller."""
    return not_for_you(value, parameter, new_names) | {
        "detail": f"Sorry, you are not authorized to access '{field_name}' on the Tweet with {parameter}: [{value}].",
        "title": "Field Authorization Error",
        "field": field_name,
        "type": problem_type("not-authorized-for-field", new_names),
    }


def not_found(value: str, parameter: str, new_names: bool, kind: str = "tweet") -> Answer:
    """X's 404: what the call was to change is not there. A read says so in an answer of its own, with 200."""
    content = {**missing(value, parameter, new_names, kind), "status": 404}
    return Answer(404, json.dumps(content, separators=(",", ":")).encode(), PROBLEM, problem=content["detail"])


def oauth_error(status: int, error: str, description: str) -> Answer:
    """The token endpoint's own shape of a refusal."""
    body = json.dumps({"error": error, "error_description": description}, separators=(",", ":")).encode()
    return Answer(status, body, problem=description)


def unsupported_authentication(way: str, ways: list[str]) -> Answer:
    """X's answer to a token that is good, but not for this endpoint."""
    return problem(
        403,
        "Unsupported Authentication",
        f"Authenticating with {way} is forbidden for this endpoint. Supported authentication types are "
        f"[{', '.join(ways)}].",
        type=problem_type("unsupported-authentication"),
    )


def coded_error(status: int, code: int, message: str, **more: str) -> Answer:
    """The shape of a refusal in X's older versions."""
    content = {"errors": [{"code": code, "message": message, **more}]}
    return Answer(status, json.dumps(content, separators=(",", ":")).encode(), problem=message)


def unauthorized() -> Answer:
    """X's answer to a token that it does not take."""
    return problem(401, "Unauthorized")


def too_many_requests() -> Answer:
    """X's answer beyond a rate limit."""
    return problem(429, "Too Many Requests")


def web_page(status: int, title: str) -> Answer:
    """What the network in front of X answers instead of JSON."""
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, body.encode(), HTML, problem=title)


_CLIENT_FORBIDDEN = "https://api.twitter.com/2/problems/client-forbidden"

PROBLEMS = {
    "unauthorized": unauthorized(),
    "credits-depleted": problem(
        402,
        "CreditsDepleted",
        "Your enrolled account does not have any credits to fulfill this request.",
        type=problem_type("credits"),
    ),
    "forbidden": problem(403, "Forbidden"),
    "duplicate": problem(403, "Forbidden", "You are not allowed to create a Tweet with duplicate content."),
    "client-not-enrolled": problem(
        403,
        "Client Forbidden",
        "When authenticating requests to the Twitter API v2 endpoints, you must use keys and tokens from a Twitter "
        "developer App that is attached to a Project. You can create a project via the developer portal.",
        type=_CLIENT_FORBIDDEN,
        reason="client-not-enrolled",
    ),
    "unsupported-authentication": unsupported_authentication(
        "OAuth 2.0 Application-Only", ["OAuth 1.0a User Context", "OAuth 2.0 User Context"]
    ),
    "oauth1-permissions": problem(
        403,
        "Forbidden",
        "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.",
        type=problem_type("oauth1-permissions"),
    ),
    "user-suspended": problem(403, "Forbidden", "User is suspended."),
    "user-suspended-code-64": coded_error(
        403, 64, "Your account is suspended and is not permitted to access this feature."
    ),
    "account-locked": coded_error(
        403,
        326,
        "To protect our users from spam and other malicious activity, this account is locked. Please log in to "
        "https://twitter.com to unlock your account.",
    ),
    "reply-gate": problem(
        403,
        "Forbidden",
        "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the "
        "author of the post you are replying to.",
    ),
    "too-many-requests": too_many_requests(),
    "too-many-requests-code-88": coded_error(429, 88, "Rate limit exceeded"),
    "usage-capped": problem(
        429,
        "UsageCapExceeded",
        "Usage cap exceeded: Monthly product cap",
        type=problem_type("usage-capped"),
        period="Monthly",
        scope="Product",
    ),
    "not-found-empty": Answer(404, b"", problem="Not Found"),
    "invalid-refresh-token": oauth_error(400, "invalid_request", "Value passed for the token was invalid."),
}
"""Refusals that a fault can bring about, by the name that the control plane uses."""
