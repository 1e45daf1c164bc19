"""Rules of the sandbox that hold for every input: its searches, its prices, its clock, its trends."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deployments.x_sandbox.accounts import Accounts
from deployments.x_sandbox.clock import Clock, iso
from deployments.x_sandbox.media_store import MediaStore
from deployments.x_sandbox.money import Money, day_of
from deployments.x_sandbox.post_store import Post, Posts
from deployments.x_sandbox.search import BadSearch, Search

DAY = 86_400
NOON = datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp()
SEARCH = Search(Posts(), Accounts(), MediaStore())
PIECES = [
    "a",
    "bread",
    "OR",
    "-",
    "(",
    ")",
    '"',
    ":",
    "#",
    "@",
    "$",
    " ",
    "from:",
    "is:reply",
    "has:links",
    "url:",
    "é",
]


def a_post(text: str) -> Post:
    return Post(id=1 << 22, account_id="1", text=text, visible_at=0, conversation_id=1)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=40), st.text(max_size=80))
def test_a_search_is_refused_or_answers_yes_or_no(query: str, text: str) -> None:
    try:
        matches = SEARCH.read(query)
    except BadSearch as bad:
        assert str(bad)
        return
    assert matches(a_post(text)) in (True, False)


@given(st.text(alphabet="abc def", min_size=1, max_size=40).filter(lambda text: text.strip()))
def test_a_text_is_found_by_its_own_words_and_not_by_their_negation(text: str) -> None:
    phrase = f'"{" ".join(text.split())}"'
    assert SEARCH.read(phrase)(a_post(text))
    assert not SEARCH.read(f"{text.split()[0]} -{phrase}")(a_post(text))


@given(st.lists(st.tuples(st.integers(0, 5), st.sets(st.sampled_from("abcdef"), min_size=1)), max_size=20))
def test_a_thing_is_paid_for_once_a_day_whatever_the_order_within_the_day(reads: list[tuple[int, set[str]]]) -> None:
    money, paid = Money(), 0
    for day, things in sorted(reads, key=lambda read: read[0]):
        now = NOON + day * DAY
        unseen = money.unseen("app", "post_read", sorted(things), now)
        paid += len(unseen)
        if unseen:
            money.apply(charge(unseen, now))
    distinct = {(day, thing) for day, things in reads for thing in things}
    assert paid == len(distinct)
    assert sum(spent.millionths for spent in money.by_endpoint.values()) == 5_000 * paid
    january = {day for day, _ in distinct if day_of(NOON + day * DAY).month == 1}
    assert money.read_in_month("app", NOON) == sum(day in january for day, _ in distinct)


@given(st.floats(0, 1_000), st.lists(st.floats(0.001, 100), max_size=10))
def test_credits_end_when_they_are_spent_and_not_before(credits: float, prices: list[float]) -> None:
    money, left = Money(), round(credits * 1_000_000)
    money.apply_credits({"owner": "app", "usd": credits})
    for price in prices:
        assert money.depleted("app", None) == (left <= 0)
        money.apply({**charge([], NOON), "usd": price})
        left -= round(price * 1_000_000)
    money.apply_credits({"owner": "app", "usd": None})
    assert not money.depleted("app", "alice")


@given(st.lists(st.tuples(st.floats(0, 10_000), st.floats(0, 1_000)), max_size=10))
def test_a_change_of_speed_never_moves_the_clock(changes: list[tuple[float, float]]) -> None:
    clock, wall = Clock(), NOON
    for seconds, speed in changes:
        before = clock.at(wall + seconds)
        wall += seconds
        clock.set(wall, before, speed)
        assert abs(clock.at(wall) - before) < 0.001
        assert abs(clock.at(wall + 10) - before - 10 * speed) < 0.01


def charge(things: list[str], now: float) -> dict[str, Any]:
    return {
        "kind": "charge",
        "client_id": "app",
        "endpoint": "GET /2/tweets",
        "price": "post_read",
        "usd": round(0.005 * len(things), 6),
        "things": things,
        "at": iso(now),
    }
