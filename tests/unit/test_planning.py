"""Plans: the same seed makes the same plan, nobody says what another said, and what stands stays."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from tasks.domain.personas import Cadence
from tasks.domain.planning import Evergreen, Name, Planned, Said, Speaker, free_turns, plan
from tasks.domain.posts import folded
from tasks.domain.recurrence import Recurrence
from tasks.domain.templates import Template
from tests.makers import a_persona
from tests.planned_fleet import FIRST_OF_DECEMBER, two_hundred

NOW = datetime(2026, 12, 1, 5, 0, tzinfo=UTC)
VIENNA = ZoneInfo("Europe/Vienna")


def a_template(count: int = 40, **given: Any) -> Template:
    data = tuple({"object": f"Object {number}"} for number in range(count))
    return Template(
        **{"name": "object", "text": "Today: {{ object }}", "data": data, "distinct_by": ("object",), **given}
    )


def a_speaker(handle: str = "museum", **given: Any) -> Speaker:
    persona = given.pop("persona", None) or a_persona(
        cadence=Cadence(slots=("09:00", "15:00"), posts_per_day=2), templates=(a_template(),)
    )
    return Speaker(
        **{
            **{"bot_id": UUID(int=abs(hash(handle))), "handle": handle, "name": handle, "zone": VIENNA},
            **{"persona": persona, "facts": {}, "posts_per_day_max": 48, **given},
        }
    )


def said(posts: Sequence[Planned], speaker: Speaker) -> list[Said]:
    return [Said(speaker.bot_id, post.name, post.template) for post in posts if post.bot == speaker.handle]


def test_the_same_seed_makes_the_same_plan_and_another_seed_another() -> None:
    museum = a_speaker()
    first = plan([museum], [], NOW, 10, seed=1)
    assert len(first.posts) == 20
    assert plan([museum], [], NOW, 10, seed=1) == first
    assert plan([museum], [], NOW, 10, seed=2) != first
    # A bot's own days do not depend on who else is planned for, save where both could say the same.
    other = a_speaker(
        "gallery",
        persona=a_persona(
            name="Gallery", cadence=Cadence(), templates=(a_template(9, text="In the gallery: {{ object }}"),)
        ),
    )
    assert [one for one in plan([museum, other], [], NOW, 10, seed=1).posts if one.bot == "museum"] == list(first.posts)


def test_a_second_plan_fills_only_what_is_empty_and_repeats_nothing() -> None:
    museum = a_speaker()
    first = plan([museum], [], NOW, 5, seed=1)
    stands = replace(museum, taken=[one.due_at for one in first.posts])
    again = plan([stands], said(first.posts, museum), NOW, 8, seed=1)
    assert len(again.posts) == 6
    assert min(one.name.day for one in again.posts) == date(2026, 12, 6)
    assert not {one.text for one in first.posts} & {one.text for one in again.posts}
    assert {Name.read(str(one.name)) for one in first.posts} == {one.name for one in first.posts}


def test_what_one_bot_says_no_other_says_until_it_may_say_it_again() -> None:
    persona = a_persona(cadence=Cadence(slots=("09:00",)), templates=(a_template(12, reuse_after_days=20),))
    speakers = [a_speaker(f"museum_{number}", persona=persona) for number in range(3)]
    found = plan(speakers, [], NOW, 30, seed=3)
    by_text: dict[str, set[str]] = {}
    for one in found.posts:
        by_text.setdefault(one.text, set()).add(one.bot)
    assert all(len(bots) == 1 for bots in by_text.values())
    assert len(by_text) == 12
    # Twenty days later the same bot may say it again, and then not before the next twenty.
    days: dict[str, list[date]] = {}
    for one in found.posts:
        days.setdefault(one.text, []).append(one.name.day)
    assert max(len(on) for on in days.values()) == 2
    assert all(later - earlier >= timedelta(days=20) for on in days.values() for earlier, later in pairwise(on))
    assert found.notes == [
        f"@museum_{number} has nothing new to say at some turns: give its templates more data" for number in range(3)
    ]


def test_blacked_out_days_and_caps_are_kept() -> None:
    museum = a_speaker(blackout={date(2026, 12, 2)}, posts_per_day_max=1)
    found = plan([museum], [], NOW, 3, seed=1)
    assert [one.name.day.day for one in found.posts] == [1, 3]
    assert "has its 1 posts on some days" in found.notes[0]


def test_an_evergreen_text_cools_down_and_takes_its_wordings_in_turn() -> None:
    tip = Evergreen(uuid4(), "tip", ("Bring a pencil.", "Pencils are welcome."), 7, None)
    persona = a_persona(cadence=Cadence(slots=("09:00",)))
    found = plan([a_speaker(persona=persona, evergreen=[tip])], [], NOW, 22, seed=1)
    assert [one.name.day.day for one in found.posts] == [1, 8, 15, 22]
    assert [one.text for one in found.posts] == [*tip.variants, *tip.variants]
    rule = Recurrence(rule="FREQ=WEEKLY;BYDAY=MO", starts_on=date(2026, 12, 1), at="18:00", skip=(date(2026, 12, 14),))
    weekly = replace(tip, recurrence=rule)
    found = plan([a_speaker(persona=persona, evergreen=[weekly])], [], NOW, 30, seed=1)
    assert [one.due_at.astimezone(VIENNA).strftime("%d %H:%M") for one in found.posts] == [
        f"{day:02} 18:00" for day in (7, 21, 28)
    ]


def test_a_free_turn_is_the_next_one_at_which_nothing_stands() -> None:
    museum = a_speaker(persona=a_persona(cadence=Cadence(slots=("09:00", "15:00"), posts_per_day=2, spread_minutes=0)))
    morning = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
    assert free_turns(museum, NOW, 2) == [morning, morning + timedelta(hours=6)]
    assert free_turns(replace(museum, taken=[morning]), NOW, 1) == [morning + timedelta(hours=6)]
    assert free_turns(replace(museum, persona=a_persona()), NOW, 1) == []


def test_of_two_hundred_bots_no_two_are_alike() -> None:
    found = plan(two_hundred(), [], FIRST_OF_DECEMBER, 3, seed=7)
    assert len(found.posts) > 1500
    assert len({folded(one.text) for one in found.posts}) == len(found.posts)
    calendars = Counter(
        tuple(one.due_at for one in found.posts if one.bot == bot) for bot in {p.bot for p in found.posts}
    )
    assert len(calendars) == 200
    of_one = [one.due_at for one in found.posts if one.bot == "bot_7"]
    assert all(later - earlier >= timedelta(minutes=30) for earlier, later in pairwise(of_one))
