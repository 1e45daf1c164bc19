"""A fleet that is planned for: two hundred bots of twenty voices, each about a place of its own."""

from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from tasks.domain.personas import ActiveWindow, Cadence
from tasks.domain.planning import Speaker
from tasks.domain.templates import Template
from tests.makers import a_persona

BOTS, VOICES = 200, 20
FIRST_OF_DECEMBER = datetime(2026, 12, 1, 5, 0, tzinfo=UTC)
ZONES = tuple(ZoneInfo(name) for name in ("Europe/Vienna", "America/Chicago", "Asia/Tokyo", "Australia/Lord_Howe"))
WINDOWS = (ActiveWindow(opens="07:00", closes="10:00"), ActiveWindow(opens="16:00", closes="21:00"))


def two_hundred() -> list[Speaker]:
    """Three posts a day each: a chart of its place, and one of its voice's 1,000 objects."""
    chart = Template(
        name="chart",
        text="{{ place }}, {{ date }}: see the chart at the station.",
        facts=("place",),
        distinct_by=("place", "date"),
    )
    personas = [
        a_persona(
            name=f"Voice {voice}",
            windows=WINDOWS,
            cadence=Cadence(posts_per_day=3),
            templates=(
                chart,
                Template(
                    name="object",
                    text="{{ object }}, on show today.",
                    data=tuple({"object": f"Object {voice}-{number}"} for number in range(1000)),
                    distinct_by=("object",),
                ),
            ),
        )
        for voice in range(VOICES)
    ]
    return [
        Speaker(
            bot_id=UUID(int=number),
            handle=f"bot_{number}",
            name=f"Bot {number}",
            zone=ZONES[number % len(ZONES)],
            persona=personas[number % VOICES],
            facts={"place": f"Place {number}"},
            posts_per_day_max=48,
        )
        for number in range(BOTS)
    ]
