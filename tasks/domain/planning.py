"""Plans: who says what at which turn, over days to come. The same seed and the same past make the same plan."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from tasks.domain.cadence import Lifts, at_wall, draw, instants
from tasks.domain.personas import Cadence, Persona
from tasks.domain.posts import fingerprint
from tasks.domain.recurrence import Recurrence
from tasks.domain.templates import DISTINCT_DAY_SLOT, BadTemplateError, Template, Value, render

DAYS_MAX = 62
Kind = Literal["template", "evergreen", "feed"]
_PREFIX = "plan"
# Where the turn is that of a recurrence, and not one of the day's numbered ones.
RECURRING = "r"


@dataclass(frozen=True)
class Name:
    """What a planned post is called: `key` is what it says, `day` and `turn` when. It stands as its external id."""

    kind: Kind
    key: str
    day: date
    turn: str

    def __str__(self) -> str:
        return "/".join((_PREFIX, self.kind, self.key, self.day.isoformat(), self.turn))

    @classmethod
    def read(cls, external_id: str) -> "Name":
        """The name that an external id of a planned post stands for."""
        _, kind, key, day, turn = external_id.split("/")
        return cls(kind, key, date.fromisoformat(day), turn)  # type: ignore[arg-type]  # nobody else writes them


@dataclass(frozen=True)
class Said:
    """A post that was planned before; `counts` is False where it never went out and never will."""

    bot_id: UUID
    name: Name
    template: str
    counts: bool = True


@dataclass(frozen=True)
class Evergreen:
    """A text of one bot that keeps, in several wordings; it comes again after `cooldown_days`, or by its recurrence."""

    id: UUID
    name: str
    variants: Sequence[str]
    cooldown_days: int
    recurrence: Recurrence | None


@dataclass(frozen=True)
class Speaker:
    """A bot as a plan sees it; `taken` are the instants of posts of its that stand."""

    bot_id: UUID
    handle: str
    name: str
    zone: ZoneInfo
    persona: Persona
    facts: Mapping[str, Value]
    posts_per_day_max: int
    evergreen: Sequence[Evergreen] = ()
    lifts: Lifts = field(default_factory=dict)
    taken: Sequence[datetime] = ()
    blackout: Collection[date] = ()


@dataclass(frozen=True)
class Planned:
    """One post of a plan."""

    bot: str
    due_at: datetime
    text: str
    name: Name
    template: str


@dataclass(frozen=True)
class Plan:
    """Posts in their order, and what an operator should know of turns that stay empty."""

    posts: Sequence[Planned]
    notes: Sequence[str]


@dataclass(frozen=True)
class _Text:
    text: str
    key: str
    template: str
    kind: Kind


def plan(speakers: Sequence[Speaker], said: Sequence[Said], after: datetime, days: int | None, seed: int) -> Plan:
    """Fill the turns of `days` days, from each bot's own today on, with what has not been said.

    Without `days` as many as the bot's cadence says under `plan_ahead_days`.
    """
    planner = _Planner(seed)
    for one in said:
        planner.remember(one)
    for number in range(DAYS_MAX if days is None else days):
        for speaker in sorted(speakers, key=lambda one: one.handle.lower()):
            cadence = speaker.persona.cadence
            if cadence is not None and (days is not None or number < cadence.plan_ahead_days):
                day = after.astimezone(speaker.zone).date() + timedelta(days=number)
                planner.plan_day(speaker, cadence, day, after)
    posts = sorted(planner.posts, key=lambda one: (one.due_at, one.bot))
    return Plan(posts, list(planner.notes))


def free_turns(speaker: Speaker, after: datetime, count: int) -> Sequence[datetime]:
    """The next turns of a bot at which no post of its stands; a bot without cadence has none."""
    cadence = speaker.persona.cadence
    found: list[datetime] = []
    for number in range(DAYS_MAX if cadence else 0):
        day = after.astimezone(speaker.zone).date() + timedelta(days=number)
        if cadence is None or day in speaker.blackout or day in cadence.blackout:
            continue
        name = f"free/{speaker.handle.lower()}/{day}"
        busy = [*speaker.taken, *found]
        turns = instants(cadence, speaker.persona.windows, speaker.zone, day, speaker.lifts, busy, name)
        room = speaker.posts_per_day_max - sum(one.astimezone(speaker.zone).date() == day for one in busy)
        found += sorted(due_at for _, due_at in turns if due_at > after)[: max(0, room)]
        if len(found) >= count:
            break
    return found[:count]


class _Planner:
    """What has been said so far, and the posts that were added to it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.posts: list[Planned] = []
        self.notes: dict[str, None] = {}
        self._turns: set[tuple[UUID, date, str]] = set()
        self._last: dict[str, tuple[UUID, date]] = {}
        self._used: Counter[tuple[UUID, Kind, str]] = Counter()
        self._lately: dict[tuple[UUID, Kind, str], date] = {}
        self._texts: dict[bytes, tuple[UUID, str]] = {}
        # What another says in the same words, and until when a bot's template has nothing new: not looked at again.
        self._spent: set[str] = set()
        self._empty_until: dict[tuple[UUID, str], date] = {}
        self._taken: dict[UUID, list[datetime]] = defaultdict(list)

    def remember(self, one: Said) -> None:
        day = one.name.day
        self._turns.add((one.bot_id, day, one.name.turn))
        if not one.counts:
            return
        template = (one.bot_id, one.name.kind, one.template)
        self._used[template] += 1
        self._lately[template] = max(day, self._lately.get(template, day))
        if one.name.key not in self._last or self._last[one.name.key][1] < day:
            self._last[one.name.key] = (one.bot_id, day)

    def plan_day(self, speaker: Speaker, cadence: Cadence, day: date, after: datetime) -> None:
        if day in speaker.blackout or day in cadence.blackout:
            return
        for turn, due_at, texts in self._recurring(speaker, day):
            self._fill(speaker, day, turn, due_at, texts, after)
        name = f"{self.seed}/{speaker.handle.lower()}/{day}"
        windows = speaker.persona.windows
        found = instants(cadence, windows, speaker.zone, day, speaker.lifts, self._near(speaker, day), name)
        for number, due_at in found:
            self._fill(speaker, day, str(number), due_at, self._choices(speaker, day, number, due_at), after)

    def _near(self, speaker: Speaker, day: date) -> Sequence[datetime]:
        """The bot's posts of this day and of those beside it."""
        noon = at_wall(day, time(12), speaker.zone)
        busy = (*speaker.taken, *self._taken[speaker.bot_id])
        return [one for one in busy if abs(one - noon) < timedelta(days=2)]

    def _fill(
        self, speaker: Speaker, day: date, turn: str, due_at: datetime, texts: Iterator[_Text], after: datetime
    ) -> None:
        if due_at <= after or (speaker.bot_id, day, turn) in self._turns:
            return
        if sum(one.astimezone(speaker.zone).date() == day for one in self._near(speaker, day)) >= (
            speaker.posts_per_day_max
        ):
            self._note(speaker, f"has its {speaker.posts_per_day_max} posts on some days: no more is planned there")
            return
        for text in texts:
            same = fingerprint(text.text)
            # What comes again comes from the same bot, and is meant: its time has passed. Nothing else is said twice.
            if self._texts.setdefault(same, (speaker.bot_id, text.key)) != (speaker.bot_id, text.key):
                self._spent.add(text.key)
                continue
            name = Name(text.kind, text.key, day, turn)
            self._taken[speaker.bot_id].append(due_at)
            self.remember(Said(speaker.bot_id, name, text.template))
            self.posts.append(Planned(speaker.handle, due_at, text.text, name, text.template))
            return
        self._note(speaker, "has nothing new to say at some turns: give its templates more data")

    def _recurring(self, speaker: Speaker, day: date) -> Iterator[tuple[str, datetime, Iterator[_Text]]]:
        for template in speaker.persona.templates:
            if (due_at := _comes(template.recurrence, day, speaker.zone)) is not None:
                yield f"{RECURRING}-{template.name}", due_at, self._of_template(speaker, template, due_at)
        for item in speaker.evergreen:
            if (due_at := _comes(item.recurrence, day, speaker.zone)) is not None:
                yield f"{RECURRING}-{item.id.hex}", due_at, iter([self._variant(item)])

    def _choices(self, speaker: Speaker, day: date, turn: int, due_at: datetime) -> Iterator[_Text]:
        """What could be said at a turn: what was said longest ago first, and chance decides between equals."""
        found: list[tuple[date, float, Template | Evergreen]] = []
        for template in speaker.persona.templates:
            if template.recurrence is None:
                last = self._lately.get((speaker.bot_id, "template", template.name), date.min)
                found.append((last, self._draw(speaker, day, turn, template.name), template))
        for item in speaker.evergreen:
            last = self._lately.get((speaker.bot_id, "evergreen", item.name), date.min)
            if item.recurrence is None and last <= day - timedelta(days=item.cooldown_days):
                found.append((last, self._draw(speaker, day, turn, item.id), item))
        for _, _, choice in sorted(found, key=lambda one: one[:2]):
            if isinstance(choice, Template):
                yield from self._of_template(speaker, choice, due_at)
            else:
                yield self._variant(choice)

    def _of_template(self, speaker: Speaker, template: Template, due_at: datetime) -> Iterator[_Text]:
        if missing := sorted(set(template.facts) - set(speaker.facts)):
            self._note(speaker, f"lacks the fact '{missing[0]}' of template '{template.name}': write it in its file")
            return
        wall = due_at.astimezone(speaker.zone)
        own: dict[str, Value] = {
            **{name: speaker.facts[name] for name in template.facts},
            **{"handle": speaker.handle, "name": speaker.name, "date": wall.strftime("%Y-%m-%d")},
            **{"day": wall.day, "month": wall.month, "year": wall.year, "time": wall.strftime("%H:%M")},
        }
        if self._empty_until.get((speaker.bot_id, template.name), wall.date()) > wall.date():
            return
        records = template.records()
        used = self._used[speaker.bot_id, "template", template.name]
        start = int(self._draw(speaker, template.name) * len(records)) + used
        for place in range(len(records)):
            values = {**own, **records[(start + place) % len(records)]}
            key = _key(speaker.persona.name, template, values)
            if self._free_on(speaker, template, key) <= wall.date():
                try:
                    yield _Text(render(template.text, values), key, template.name, "template")
                except BadTemplateError as error:
                    self._spent.add(key)
                    self._note(speaker, f"template '{template.name}': {error}")
        if DISTINCT_DAY_SLOT not in template.distinct_by:
            keys = (_key(speaker.persona.name, template, {**own, **record}) for record in records)
            first = min(self._free_on(speaker, template, key) for key in keys)
            self._empty_until[speaker.bot_id, template.name] = first

    def _free_on(self, speaker: Speaker, template: Template, key: str) -> date:
        """The day from which on a bot may say it; what another has said is not for it."""
        if key in self._spent:
            return date.max
        if key not in self._last:
            return date.min
        bot_id, last = self._last[key]
        return last + timedelta(days=template.reuse_after_days) if bot_id == speaker.bot_id else date.max

    def _variant(self, item: Evergreen) -> _Text:
        """The wording that was said longest ago."""
        keys = [f"{item.id.hex}.{number}" for number in range(len(item.variants))]
        last = [self._last[key][1] if key in self._last else date.min for key in keys]
        number = last.index(min(last))
        return _Text(item.variants[number], keys[number], item.name, "evergreen")

    def _draw(self, speaker: Speaker, *names: object) -> float:
        return draw(self.seed, speaker.handle.lower(), *names)

    def _note(self, speaker: Speaker, text: str) -> None:
        self.notes[f"@{speaker.handle} {text}"] = None


def _comes(recurrence: Recurrence | None, day: date, zone: ZoneInfo) -> datetime | None:
    if recurrence is None or not recurrence.falls_on(day):
        return None
    return at_wall(day, recurrence.at, zone)


def _key(persona: str, template: Template, values: Mapping[str, Value]) -> str:
    """Equal for two posts that agree in all that a template is distinct by."""
    said = [persona, template.name, *(f"{name}={values[name]}" for name in sorted(template.distinct_by))]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]
