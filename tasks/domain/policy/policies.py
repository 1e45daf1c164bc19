"""What people set of the gate: `config/policies.yaml`, each value within its bounds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tasks.domain.personas import Handle

Term = Annotated[str, Field(min_length=2, max_length=80)]
Terms = Annotated[tuple[Term, ...], Field(max_length=2000)]
Host = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]


class Policies(BaseModel):
    """The gate's settings; X's own rules can be made stricter within bounds, and not switched off.

    A term is a word or phrase; with a star at its end it stands for every word that begins so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    switched_off: tuple[str, ...] = Field((), description="Rules of our own that are switched off.")
    alike_from: float = Field(0.7, ge=0.5, le=0.9, description="Share of common runs from which two texts are one.")
    alike_days: int = Field(90, ge=30, le=365, description="How many days back texts of the fleet are compared.")
    repeat_hours: int = Field(24, ge=12, le=720, description="Hours before one bot may say the very same again.")
    carriers_max: int = Field(2, ge=1, le=3, description="Bots that may carry one link, hashtag or quote unapproved.")
    carriers_hours: int = Field(24, ge=24, le=168, description="Within how many hours these bots are counted.")
    shared_hashtags: tuple[str, ...] = Field((), max_length=50, description="Hashtags that any number may carry.")
    trend_hours: int = Field(48, ge=48, le=168, description="Hours for which a trend's name is too fresh.")
    mentions_allowed: tuple[Handle, ...] = Field((), description="Accounts that agreed to be named by the bots.")
    opted_out: tuple[Handle, ...] = Field((), description="Accounts that want to hear nothing from the bots.")
    blocked_terms: Terms = Field((), description="Words that no bot says.")
    topics: dict[str, Terms] = Field(default_factory=dict, description="Words by which a topic is known.")
    sensitive: tuple[str, ...] = Field((), description="Topics of which a person approves each post.")
    blocked_hosts: tuple[Host, ...] = Field((), description="Sites that no bot links to.")
    shorteners: tuple[Host, ...] = Field((), description="Sites that hide where a link leads.")
