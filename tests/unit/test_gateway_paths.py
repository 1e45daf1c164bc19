"""An address that could be read in two ways is refused; every other one is written in one way."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.gateway.paths import clean
from deployments.gateway.problems import ProblemError

# Each of them reaches another route with some reader between here and Prefect's table of routes.
TRICKS = [
    b"//api/flows/",
    b"/api//flows/",
    b"/api/flows//",
    b"/api/./flows/",
    b"/api/../api/flows/",
    b"/api/flows/..",
    b"/api/flows/.",
    b"/..",
    b"/api/%2e/flows/",
    b"/api/%2e%2e/flows/",
    b"/api/%2E%2E/flows/",
    b"/api/.%2e/flows/",
    b"/api%2fflows/",
    b"/api%2Fflows/",
    b"/api/work_pools/a%2fb",
    b"/api/%252e%252e/flows/",
    b"/api/%25/flows",
    b"/api\\flows/",
    b"/api/%5cflows/",
    b"/api/%5Cflows/",
    b"/api;x/flows/",
    b"/api/flows;a=b/",
    b"/api/flows/%3b",
    b"/api/flows/%00",
    b"/api/flows/%0a",
    b"/api/flows/%0d%0aHost:x",
    b"/api/flows/%7f",
    b"/api/flows/\x01",
    b"/api/flows/ x",
    b"/api/flows/#x",
    b"/api/flows/?x",
    b"/api/flows/%",
    b"/api/flows/%zz",
    b"/api/flows/%u002e",
    b"/api/flows/%c0%ae%c0%ae/",
    b"/api/flows/%c0%af",
    b"/api/flows/%e0%80%af",
    b"/api/flows/%ff",
    b"/api/flows/\xff",
    b"api/flows/",
    b"*",
    b"",
    b"http://elsewhere/api/flows/",
    b"/" + b"a" * 3000,
]


@pytest.mark.promise("A1")
@pytest.mark.parametrize("raw", TRICKS)
def test_a_path_with_a_second_reading_is_refused(raw: bytes) -> None:
    with pytest.raises(ProblemError) as refused:
        clean(raw, b"")
    assert (refused.value.status, refused.value.problem) == (400, "bad-address")


@pytest.mark.parametrize(
    ("raw", "path", "written"),
    [
        (b"/api/flows/", "/api/flows/", "/api/flows/"),
        (b"/api/flows/name/a%20b", "/api/flows/name/a b", "/api/flows/name/a%20b"),
        (b"/api/flows/name/%61", "/api/flows/name/a", "/api/flows/name/a"),
        (b"/api/flows/name/%C3%BC", "/api/flows/name/ü", "/api/flows/name/%C3%BC"),
        (b"/api/flows/name/a..b", "/api/flows/name/a..b", "/api/flows/name/a..b"),
        (b"/v2/assets/index-Dyy5jLiI.js", "/v2/assets/index-Dyy5jLiI.js", "/v2/assets/index-Dyy5jLiI.js"),
    ],
)
def test_every_other_path_is_written_in_one_way(raw: bytes, path: str, written: str) -> None:
    found = clean(raw, b"")
    assert (found.path, found.raw) == (path, written)


@given(st.binary(max_size=40))
def test_what_is_passed_on_means_what_was_matched(tail: bytes) -> None:
    """Prefect undoes escapes once: it has to find the very path that our table was asked for."""
    try:
        found = clean(b"/api/" + tail, b"")
    except ProblemError:
        return
    assert unquote(found.raw, errors="strict") == found.path
    assert clean(found.raw.encode(), b"").path == found.path
    assert not {"", ".", ".."} & set(found.path.split("/")[1:-1])


@pytest.mark.parametrize(
    "query", [b"a=%zz%ff", b"a=%00", b"a=%0d%0aHost:x", b"\xff=1", b"&".join([b"a=1"] * 101), b"a" * 9000]
)
def test_a_query_that_cannot_be_read_is_refused(query: bytes) -> None:
    with pytest.raises(ProblemError) as refused:
        clean(b"/api/flows/", query)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "query",
    [
        b"include_secrets=true",
        b"include_secrets=True",
        b"include_secrets=1",
        b"include_secrets",
        b"include%5fsecrets=on",
        b"a=1&include_secrets=false&include_secrets=true",
        b"include-secrets=yes",
        b"%20include_secrets=t",
    ],
)
def test_a_query_that_asks_for_secrets_is_refused(query: bytes) -> None:
    with pytest.raises(ProblemError) as refused:
        clean(b"/api/block_documents/x", query)
    assert (refused.value.status, refused.value.problem) == (403, "secrets-stay")


def test_a_query_is_written_anew() -> None:
    assert clean(b"/api/x", b"a=1&a=%32&b=c+d&include_secrets=false").target == "/api/x?a=1&a=2&b=c+d"
