"""Who a bot is: what people write in its file, and what YAML, REST and the database share."""

import re
from collections.abc import Mapping
from datetime import date, time
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tasks.domain.templates import BOT_SLOTS, DAY_SLOTS, BadTemplateError, SlotName, Template, Value, render

HANDLE = re.compile(r"^[A-Za-z0-9_]{1,15}$")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _handle(value: str) -> str:
    bare = value.removeprefix("@")
    if not HANDLE.match(bare):
        raise ValueError("an X handle is 1 to 15 letters, digits or underscores")
    return bare


def _time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("write a time zone of the IANA list, such as Europe/Vienna")
    return value


def _language(value: str) -> str:
    if not re.match(r"^[a-z]{2,3}(-[A-Z]{2})?$", value):
        raise ValueError("write a language tag such as en or pt-BR")
    return value


Handle = Annotated[str, AfterValidator(_handle)]
TimeZoneName = Annotated[str, AfterValidator(_time_zone)]
Language = Annotated[str, AfterValidator(_language)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class _Written(BaseModel):
    """What people write: nothing unknown passes, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ActiveWindow(_Written):
    """Hours of the day, in the bot's own time zone, in which it speaks."""

    days: tuple[Weekday, ...] = WEEKDAYS  # type: ignore[assignment]  # a tuple of the very literals
    opens: time
    closes: time

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.opens >= self.closes:
            raise ValueError("a window opens before it closes; write one that passes midnight as two")
        return self


class Cadence(_Written):
    """How often and when a bot speaks of what is planned.

    With `slots`, times of its own day, it speaks at these; without, anywhere in its windows, at better hours rather
    than at worse ones. `spread_minutes` is how much later it may be, so that bots with the same slots do not speak at
    once; `gap_minutes` lies between any two posts. `plan_ahead_days` is for the daily run, 0 leaves planning to people.
    """

    posts_per_day: Annotated[int, Field(ge=1, le=48)] = 1
    slots: Annotated[tuple[time, ...], Field(max_length=48)] = ()
    spread_minutes: Annotated[int, Field(ge=0, le=120)] = 10
    gap_minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    blackout: Annotated[tuple[date, ...], Field(max_length=400)] = ()
    plan_ahead_days: Annotated[int, Field(ge=0, le=60)] = 0


class Persona(_Written):
    """A voice that one or more bots speak with."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    tone: Annotated[str, Field(min_length=1, max_length=500)]
    interests: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=10)] = ("en",)
    never_topics: tuple[str, ...] = ()
    approve_each: bool = False
    windows: tuple[ActiveWindow, ...] = ()
    cadence: Cadence | None = None
    templates: Annotated[tuple[Template, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _can_be_planned(self) -> Self:
        names = [template.name for template in self.templates]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two templates are called '{twice[0]}'; give one another name")
        for slot in self.cadence.slots if self.cadence else ():
            if self.windows and not any(window.opens <= slot < window.closes for window in self.windows):
                raise ValueError(f"the slot {slot:%H:%M} lies in no window; move it, or open a window then")
        return self


class LabelConfirmation(_Written):
    """A person saw X's automation label on the account's profile."""

    by: Annotated[str, Field(min_length=1, max_length=200)]
    confirmed_on: date


class Bot(_Written):
    """One bot file: an account, who answers for it, and its persona.

    `app` names the app on X it signs in through; it may be left out where there is one only. `facts` are what the
    templates of its persona say of this bot and of no other.
    """

    handle: Handle
    display_name: Annotated[str, Field(min_length=1, max_length=50)]
    description: Annotated[str, Field(min_length=1, max_length=160)]
    operator_handle: Handle
    time_zone: TimeZoneName
    labels: tuple[Label, ...] = ()
    posts_per_day_max: Annotated[int, Field(ge=1, le=2400)] = 48
    app: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    automation_label: LabelConfirmation | None = None
    persona: Persona
    facts: Annotated[Mapping[SlotName, Value], Field(max_length=50)] = {}

    @model_validator(mode="after")
    def _has_its_facts(self) -> Self:
        for template in self.persona.templates:
            if missing := sorted(set(template.facts) - set(self.facts)):
                raise ValueError(f"template '{template.name}' needs the fact '{missing[0]}': write it under facts")
            own = {name: self.facts[name] for name in template.facts}
            try:
                render(template.text, {**dict.fromkeys((*DAY_SLOTS, *BOT_SLOTS), "1"), **own, **template.records()[0]})
            except BadTemplateError as error:
                raise ValueError(f"template '{template.name}': {error}") from None
        return self
