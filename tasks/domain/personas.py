"""Who a bot is: what people write in its file, and what YAML, REST and the database share."""

import re
from datetime import date, time
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

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


class Persona(_Written):
    """A voice that one or more bots speak with."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    tone: Annotated[str, Field(min_length=1, max_length=500)]
    interests: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=10)] = ("en",)
    never_topics: tuple[str, ...] = ()
    windows: tuple[ActiveWindow, ...] = ()


class LabelConfirmation(_Written):
    """A person saw X's automation label on the account's profile."""

    by: Annotated[str, Field(min_length=1, max_length=200)]
    confirmed_on: date


class Bot(_Written):
    """One bot file: an account, who answers for it, and its persona.

    `app` names the app on X it signs in through; it may be left out where there is one only.
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
