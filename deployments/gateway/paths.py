"""Addresses that mean the same to everybody who reads them; what could be read in two ways is refused with 400."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

from deployments.gateway.problems import ProblemError

PATH_BYTES_MAX = 2_000
QUERY_BYTES_MAX = 8_000
QUERY_FIELDS_MAX = 100

# Slash, dot, percent, backslash, semicolon and control characters, written in a way that only some readers undo.
_ENCODED = re.compile(rb"%(?:2f|2e|25|5c|3b|7f|[01][0-9a-f])", re.IGNORECASE)
# The same in plain, a dot segment, an empty segment, a broken escape, and bytes that no address holds.
_PLAIN = re.compile(rb"//|/\.{1,2}(?:/|\Z)|[\\;#?\x00-\x20\x7f-\xff]|%(?![0-9a-fA-F]{2})")
_DIRTY = re.compile(r"[\x00-\x1f\x7f]")
# What quote() need not touch; every other character is escaped, so that there is one way to write a path.
_SAFE = "/-._~!$&'()*+,=:@"


@dataclass(frozen=True)
class Address:
    """A path as it is matched, and path and query as they are passed on."""

    path: str
    raw: str
    query: str

    @property
    def target(self) -> str:
        """Path and query, escaped."""
        return f"{self.raw}?{self.query}" if self.query else self.raw


def clean(raw_path: bytes, query: bytes) -> Address:
    """Decode once and write anew; raises 400 for what has a second reading."""
    if len(raw_path) > PATH_BYTES_MAX or not raw_path.startswith(b"/"):
        raise _refused()
    if _PLAIN.search(raw_path) or _ENCODED.search(raw_path):
        raise _refused()
    try:
        path = unquote_to_bytes(raw_path).decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise _refused() from None
    return Address(path, quote(path, safe=_SAFE), _query(query))


def _query(query: bytes) -> str:
    if not query:
        return ""
    if len(query) > QUERY_BYTES_MAX:
        raise ProblemError(400, "bad-address", f"the query is longer than {QUERY_BYTES_MAX:,} bytes")
    try:
        fields = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except (UnicodeDecodeError, ValueError):
        raise ProblemError(400, "bad-address", "the query cannot be read: escape it as UTF-8") from None
    if any(_DIRTY.search(part) for field in fields for part in field):
        raise ProblemError(400, "bad-address", "the query holds control characters")
    if any(_name(key) == "include_secrets" and value.casefold() != "false" for key, value in fields):
        raise ProblemError(403, "secrets-stay", BLOCKS_STAY)
    return urlencode([(key, value) for key, value in fields if _name(key) != "include_secrets"])


BLOCKS_STAY = "secrets of blocks leave Prefect for nobody: leave include_secrets out; ours are in the vault"


def _name(key: str) -> str:
    return key.strip().casefold().replace("-", "_")


def _refused() -> ProblemError:
    detail = (
        "the path has a second reading: write it without empty or dot segments, backslashes, semicolons and control "
        "characters, plain or escaped"
    )
    return ProblemError(400, "bad-address", detail)
