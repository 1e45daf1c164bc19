"""What is talked about: what the sandbox's own accounts tag, and around it topics that are made up for the day."""

import re
from collections import Counter

from deployments.x_sandbox.answers import Answer, missing, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.metrics import chance
from deployments.x_sandbox.post_reads import READ
from deployments.x_sandbox.queries import BadQuery, Query
from deployments.x_sandbox.state import Sandbox

PLACES = {
    1: "Worldwide",
    12723: "Birmingham",
    26062: "Leicester",
    26734: "Liverpool",
    44418: "London",
    615702: "Paris",
    638242: "Berlin",
    718345: "Milan",
    766273: "Madrid",
    1105779: "Sydney",
    1118370: "Tokyo",
    2344116: "Istanbul",
    2379574: "Chicago",
    2442047: "Los Angeles",
    2459115: "New York",
    23424748: "Australia",
    23424768: "Brazil",
    23424775: "Canada",
    23424819: "France",
    23424829: "Germany",
    23424848: "India",
    23424853: "Italy",
    23424856: "Japan",
    23424950: "Spain",
    23424969: "Turkey",
    23424975: "United Kingdom",
    23424977: "United States",
}
"""Places of which this X has trends, by their Where On Earth ids."""

TOPICS = {
    "Sports": "Match Day|#Marathon|Penalty|#CupFinal|Transfer News|Overtime|#Cycling|Grand Slam|Relegation|Hat-trick",
    "Entertainment": "#SeasonFinale|Film Festival|Trailer|#BookTok|Opening Night|Encore|#BoardGames|Puppet Theatre",
    "Music": "New Album|#VinylDay|Brass Band|Tour Dates|#Karaoke|Lullaby",
    "News": "Town Hall|Bus Strike|Bridge Reopens|#Budget|New Timetable|Ferry|Recount|Power Cut",
    "Weather": "First Snow|#HeatWave|Thunderstorm|Fog Warning|#Rainbow|Spring Tide",
    "Technology": "Software Update|#OpenData|Outage|Night Mode|#Retrocomputing|Beta",
    "Science": "Solar Eclipse|#Perseids|Sea Otter|Deep Sea|#FossilFriday|Space Walk",
    "Food": "#PancakeDay|Sourdough|Harvest|#TeaTime|Street Food|Plum Cake",
    "Life": "#MondayMotivation|Good Morning|#ThrowbackThursday|Library Card|Lost Cat|#PlantParents|Sunday Walk",
}
"""Invented trends by the category that X would show for them."""

CATEGORIES = {name: category for category, names in TOPICS.items() for name in names.split("|")}
WOEID = re.compile(r"[0-9]{1,10}")
PER_PLACE_DEFAULT, PER_PLACE_MOST, PER_ACCOUNT = 20, 50, 10
DAY_SECONDS, TURN_SECONDS = 86_400, 900
"""Invented trends have their day, and change places at every turn."""
OWN_LEAST = 2
"""So many posts of a day make a tag of the sandbox's own accounts a trend."""
OWN_LOOKED_AT = 10_000
COUNTED_SHARE = 0.8
"""X counts many trends, not all of them."""
POSTS_LEAST, POSTS_POWERS = 1_500, 2.0
HOURS_MOST = 12
FIELDS = frozenset({"trend_name", "tweet_count"})
PERSONAL_FIELDS = frozenset({"category", "post_count", "trend_name", "trending_since"})


def of_place(sandbox: Sandbox, call: Call) -> Answer:
    """Trends of a place, the sandbox's own first."""
    query = Query.of(call.query, sandbox.settings.new_names)
    query.in_path("woeid", call.path_id, WOEID)
    most = query.whole("max_trends", PER_PLACE_DEFAULT, 1, PER_PLACE_MOST)
    fields = query.names("trend.fields", FIELDS) or FIELDS
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    if int(call.path_id) not in PLACES:
        return ok({"errors": [missing(call.path_id, "woeid", sandbox.settings.new_names, "trend")]})
    now = sandbox.clock.now()
    counted = [*_own(sandbox, now), *_invented(call.path_id, now)]
    call.bought = ("trend_read", [name for name, _ in counted[:most]])
    trends = [{"trend_name": name, **({"tweet_count": count} if count else {})} for name, count in counted[:most]]
    return ok({"data": [{name: value for name, value in trend.items() if name in fields} for trend in trends]})


def personal(sandbox: Sandbox, call: Call) -> Answer:
    """Trends in the order of an account's taste; every account of this X is subscribed to Premium."""
    _, account = call.caller
    query = Query.of(call.query, sandbox.settings.new_names)
    fields = query.names("personalized_trend.fields", PERSONAL_FIELDS) or PERSONAL_FIELDS
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    now = sandbox.clock.now()
    counted = [*_own(sandbox, now), *_invented(account.id, now)][:PER_ACCOUNT]
    call.bought = ("trend_read", [name for name, _ in counted])
    trends = [
        {
            "category": CATEGORIES.get(name, "Trending"),
            "post_count": f"{_rounded(count)} posts" if count else None,
            "trend_name": name,
            "trending_since": _since(name, now),
        }
        for name, count in counted
    ]
    return ok({"data": [{name: value for name, value in each.items() if name in fields and value} for each in trends]})


def _own(sandbox: Sandbox, now: float) -> list[tuple[str, int]]:
    """Tags that the accounts of this X used most in the last 24 hours, as they were last written."""
    counts: Counter[str] = Counter()
    spelling: dict[str, str] = {}
    for looked_at, post in enumerate(sandbox.posts.since(now - DAY_SECONDS)):
        if looked_at == OWN_LOOKED_AT:
            break
        if post.visible_at <= now and sandbox.accounts.by_id[post.account_id].shows_posts_to(None):
            entities = post.shown.entities
            tags = {f"#{mark['tag']}" for mark in entities.get("hashtags", ())}
            tags |= {f"${mark['tag']}" for mark in entities.get("cashtags", ())}
            counts.update({tag.casefold() for tag in tags})
            for tag in tags:
                spelling.setdefault(tag.casefold(), tag)
    return [(spelling[tag], count) for tag, count in counts.most_common(PER_PLACE_MOST) if count >= OWN_LEAST]


def _invented(whose: str, now: float) -> list[tuple[str, int | None]]:
    """The made-up trends of a place or an account: the same for a day, shuffled a little at every turn."""
    day, turn = int(now // DAY_SECONDS), int(now // TURN_SECONDS)
    order = sorted(CATEGORIES, key=lambda name: chance(f"{whose} {name} {day}") + chance(f"{whose} {name} {turn}") / 5)
    return [(name, _posts(f"{whose} {name} {day}")) for name in order]


def _posts(seed: str) -> int | None:
    if chance(f"{seed} counted") > COUNTED_SHARE:
        return None
    return int(POSTS_LEAST * 10 ** (POSTS_POWERS * chance(f"{seed} posts")))


def _rounded(count: int) -> str:
    return f"{count / 1000:.1f}".removesuffix(".0") + "K" if count >= 1_000 else str(count)


def _since(name: str, now: float) -> str:
    hours = int(HOURS_MOST * chance(f"{name} {int(now // DAY_SECONDS)} since"))
    return f"{hours} hour{'' if hours == 1 else 's'} ago" if hours else "Trending now"


ENDPOINTS = [
    Endpoint("GET /2/trends/by/woeid/{woeid}", of_place, frozenset(), app_only=True, oauth1=False),
    Endpoint("GET /2/users/personalized_trends", personal, READ),
]
