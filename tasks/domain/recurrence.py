"""What comes again: days by a rule of RFC 5545, at one time of the day in the bot's own zone."""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Annotated, Self

from dateutil.rrule import rrulestr
from pydantic import BaseModel, ConfigDict, Field, model_validator

# What may stand in a rule. Hours and minutes are not the rule's: the time of the day is said beside it.
_PARTS: Mapping[str, str] = {
    "FREQ": r"DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": r"[1-9]\d{0,2}",
    "COUNT": r"[1-9]\d{0,3}",
    "UNTIL": r"\d{8}",
    "BYDAY": r"[+-]?\d{0,2}(MO|TU|WE|TH|FR|SA|SU)(,[+-]?\d{0,2}(MO|TU|WE|TH|FR|SA|SU)){0,20}",
    "BYMONTHDAY": r"-?\d{1,2}(,-?\d{1,2}){0,31}",
    "BYMONTH": r"\d{1,2}(,\d{1,2}){0,11}",
    "BYSETPOS": r"-?\d{1,3}(,-?\d{1,3}){0,10}",
    "WKST": r"MO|TU|WE|TH|FR|SA|SU",
}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
# After so many days of a daily rule that did not fit none will: 29 February on a given weekday comes every 28 years.
DAYS_SOUGHT = 15_000
FORM = "write it like FREQ=WEEKLY;BYDAY=MO,TH or FREQ=MONTHLY;BYDAY=1SU;COUNT=6 or FREQ=DAILY;UNTIL=20271231"


class Recurrence(BaseModel):
    """A rule, the day it starts on, the time of the day, and days that are left out.

    A day that is left out still counts for COUNT, as in RFC 5545.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Annotated[str, Field(max_length=300)]
    starts_on: date
    at: time
    skip: Annotated[tuple[date, ...], Field(max_length=400)] = ()

    @model_validator(mode="after")
    def _is_a_rule(self) -> Self:
        parts = _parts(self.rule)
        if self.at.tzinfo is not None:
            raise ValueError("at is a time of the bot's own day: write it without a zone")
        try:
            if "UNTIL" in parts:
                _day(parts["UNTIL"])
            if next(_from(self.starts_on, parts), None) is None:
                raise ValueError("no day fits")
        except ValueError as error:
            raise ValueError(f"rule: {error}; {FORM}") from None
        return self

    def falls_on(self, day: date) -> bool:
        """Whether it comes on a day."""
        return day in _month(self, day.replace(day=1))

    def days(self, first: date, last: date) -> Sequence[date]:
        """The days from `first` to `last` on which it comes."""
        parts = _parts(self.rule)
        if "UNTIL" in parts:
            last = min(last, _day(parts["UNTIL"]))
        found = islice(_from(self.starts_on, parts), int(parts["COUNT"]) if "COUNT" in parts else None)
        until = takewhile(lambda day: day <= last, found)
        return [day for day in until if day >= first and day not in self.skip]


@lru_cache(maxsize=4096)
def _month(recurrence: Recurrence, first: date) -> frozenset[date]:
    return frozenset(recurrence.days(first, first + timedelta(days=31)))


def _parts(rule: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in rule.upper().removeprefix("RRULE:").split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS or name in found or not re.fullmatch(_PARTS[name], value):
            raise ValueError(f"rule: '{part}' may not stand in it; {FORM}")
        found[name] = value
    if "FREQ" not in found:
        raise ValueError(f"rule: it does not say FREQ; {FORM}")
    return found


def _from(start: date, parts: Mapping[str, str]) -> Iterator[date]:
    """The days of a rule without its end, for as long as there is one to come."""
    if parts["FREQ"] == "DAILY":
        return _daily(start, parts)
    # Weeks, months and years until 9999 are few: a rule that no day fits is known within a second.
    return (one.date() for one in rrulestr(_for_days(parts), dtstart=datetime.combine(start, time())))


def _daily(start: date, parts: Mapping[str, str]) -> Iterator[date]:
    """As rrule would, which seeks among all days until 9999 where none fits."""
    if "BYSETPOS" in parts:
        raise ValueError("BYSETPOS means nothing of a day")
    weekdays = parts.get("BYDAY", ",".join(_WEEKDAYS)).split(",")
    months, month_days = (
        [int(one) for one in parts[name].split(",")] if name in parts else None for name in ("BYMONTH", "BYMONTHDAY")
    )
    if strange := [one for one in weekdays if one not in _WEEKDAYS]:
        raise ValueError(f"'{strange[0]}' means nothing of a day")
    step = timedelta(days=int(parts.get("INTERVAL", 1)))
    day, missed = start, 0
    while missed < DAYS_SOUGHT:
        from_end = day.day - monthrange(day.year, day.month)[1] - 1
        if (
            _WEEKDAYS[day.weekday()] in weekdays
            and (months is None or day.month in months)
            and (month_days is None or day.day in month_days or from_end in month_days)
        ):
            missed = 0
            yield day
        missed += 1
        day += step


def _for_days(parts: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items() if name not in ("COUNT", "UNTIL"))


def _day(written: str) -> date:
    return datetime.strptime(written, "%Y%m%d").date()  # noqa: DTZ007 - a day, in whichever zone its bot lives
