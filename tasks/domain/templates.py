"""Templates of posts: a small part of Jinja2 in which nothing can be called, repeated or looked into.

What may stand in one is listed here, and all else is refused when it is read: text, slots, a few filters, `if`. There
are no loops, so a text cannot be longer than its template and its slots make it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Self

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tasks.domain.recurrence import Recurrence

TEMPLATE_CHARACTERS_MAX = 2000
VALUE_CHARACTERS_MAX = 500
OUTPUT_CHARACTERS_MAX = 4000
NODES_MAX = 200
DEPTH_MAX = 20
NUMBER_MAX = 1_000_000_000
# None of them makes a text longer than a few times what it is given; `truncate` only ever shortens.
FILTERS = ("capitalize", "default", "lower", "title", "trim", "truncate", "upper")
# Slots that each post has: the day and the time it is planned for, in the bot's own zone.
DAY_SLOTS = ("date", "day", "month", "year", "time")
BOT_SLOTS = ("handle", "name")
# Two posts that differ in these alone say the same twice.
DISTINCT_DAY_SLOT = "date"
_RESERVED = frozenset(("true", "false", "none", "self", "loop", "super", "caller", "varargs", "kwargs", "context"))

_PLAIN = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Filter, nodes.Concat),
    *(nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
)
_SAID_OF: Mapping[type[nodes.Node], str] = {
    nodes.Call: "a call",
    nodes.Mul: "a multiplication",
    nodes.Pow: "a power",
    nodes.Getattr: "a look into an attribute",
    nodes.Getitem: "a look into an item",
    nodes.For: "a loop",
    nodes.Test: "a test with 'is'",
    nodes.Keyword: "a named argument",
}

SlotName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


def _value(given: object) -> object:
    if isinstance(given, str) and 0 < len(given) <= VALUE_CHARACTERS_MAX:
        return given
    if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= NUMBER_MAX:
        return given
    raise ValueError(f"write a text of 1 to {VALUE_CHARACTERS_MAX} characters, or a number of up to nine digits")


Value = Annotated[str | int | float, BeforeValidator(_value)]


class BadTemplateError(ValueError):
    """A template that may not be, or that makes no text; the message names the line and what stands there."""


class Template(BaseModel):
    """What a persona says again and again, each time about something else.

    `data` are records of slots, of which each post takes one; `facts` names slots that each bot's own file fills. In
    the slots of `distinct_by` no two posts of the fleet agree, until `reuse_after_days` have passed, and then only the
    same bot may say it again.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "on-show",
                    "text": "On show today: {{ title }}, {{ year }}.",
                    "data": [{"title": "A bronze mirror", "year": 1620}],
                    "distinct_by": ["title"],
                }
            ]
        },
    )

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
    text: Annotated[str, Field(min_length=1, max_length=TEMPLATE_CHARACTERS_MAX)]
    data: Annotated[tuple[Mapping[SlotName, Value], ...], Field(max_length=1000)] = ()
    facts: Annotated[tuple[SlotName, ...], Field(max_length=20)] = ()
    distinct_by: Annotated[tuple[SlotName, ...], Field(min_length=1, max_length=10)]
    reuse_after_days: Annotated[int, Field(ge=1, le=366)] = 90
    recurrence: Recurrence | None = None

    @model_validator(mode="after")
    def _can_be_said(self) -> Self:
        own = {*(self.data[0] if self.data else ()), *self.facts}
        if odd := next((place for place, one in enumerate(self.data, 1) if set(one) != set(self.data[0])), None):
            raise ValueError(f"record {odd} of data has other slots than the first: {', '.join(sorted(self.data[0]))}")
        if taken := own & {*DAY_SLOTS, *BOT_SLOTS, *_RESERVED}:
            raise ValueError(f"give another name to {', '.join(sorted(taken))}: that one is ours")
        used = lint(self.text, {*own, *DAY_SLOTS, *BOT_SLOTS})
        possible = own | {DISTINCT_DAY_SLOT}
        if strange := [slot for slot in self.distinct_by if slot not in possible]:
            raise ValueError(f"distinct_by names '{strange[0]}'; it can be one of {', '.join(sorted(possible))}")
        if unsaid := [slot for slot in self.distinct_by if slot not in used]:
            raise ValueError(f"distinct_by names '{unsaid[0]}', which the text does not say")
        for record in self.records() if not self.facts else ():
            render(self.text, {**dict.fromkeys((*DAY_SLOTS, *BOT_SLOTS), "1"), **record})
        return self

    def records(self) -> Sequence[Mapping[str, Value]]:
        """The records there are to say; a template without data has one, which is empty."""
        return self.data or ({},)


def lint(text: str, slots: set[str]) -> set[str]:
    """The slots that a template uses, of those there are; raises BadTemplateError for all that may not stand in one."""
    if len(text) > TEMPLATE_CHARACTERS_MAX:
        raise BadTemplateError(f"a template has at most {TEMPLATE_CHARACTERS_MAX} characters, this one has {len(text)}")
    try:
        tree = _ENVIRONMENT.parse(text)
    except TemplateSyntaxError as error:
        raise BadTemplateError(f"line {error.lineno} of the template: {error.message}") from None
    except (RecursionError, OverflowError, ValueError) as error:
        raise BadTemplateError(f"the template cannot be read: {type(error).__name__}") from None
    used: set[str] = set()
    for count, (node, depth) in enumerate(_walk(tree), start=1):
        if count > NODES_MAX or depth > DEPTH_MAX:
            raise BadTemplateError(f"line {node.lineno} of the template: it is too deep or too long; write it simpler")
        if (problem := _objection(node, slots)) is not None:
            raise BadTemplateError(f"line {node.lineno} of the template: {problem}")
        if isinstance(node, nodes.Name):
            used.add(node.name)
    return used


def render(text: str, values: Mapping[str, Value]) -> str:
    """The text of one post; raises BadTemplateError. `text` has been read by `lint` before."""
    said: list[str] = []
    length = 0
    try:
        for piece in _compiled(text).generate(values):
            length += len(piece)
            if length > OUTPUT_CHARACTERS_MAX:
                raise BadTemplateError(f"it makes a text of more than {OUTPUT_CHARACTERS_MAX} characters")
            said.append(piece)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, BadTemplateError):
            raise
        raise BadTemplateError(f"it cannot be filled in: {error}") from None
    found = "".join(said).strip()
    if not found:
        raise BadTemplateError("it makes a text of nothing but spaces")
    return found


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, optimized=False, keep_trailing_newline=False
    )
    environment.globals.clear()
    environment.tests.clear()
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=2048)
def _compiled(text: str) -> Compiled:
    return _ENVIRONMENT.from_string(text)


def _walk(tree: nodes.Node) -> Iterator[tuple[nodes.Node, int]]:
    """Every node with its depth, without recursion: a template may be as deep as its author likes."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in node.iter_child_nodes()]


def _objection(node: nodes.Node, slots: set[str]) -> str | None:
    if type(node) not in _PLAIN:
        said = _SAID_OF.get(type(node), f"'{type(node).__name__.lower()}'")
        return f"{said} may not stand in a template; there are slots, 'if' and the filters {', '.join(FILTERS)}"
    if isinstance(node, nodes.Name) and (node.ctx != "load" or node.name not in slots):
        return f"there is no slot '{node.name}'; there are {', '.join(sorted(slots))}"
    if isinstance(node, nodes.Filter):
        if node.node is None or node.name not in FILTERS:
            return f"there is no filter '{node.name}'; there are {', '.join(FILTERS)}"
        if node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
            return f"the filter '{node.name}' takes plain arguments only"
    if isinstance(node, nodes.Const) and not _is_small(node.value):
        return "only words, and whole numbers of up to nine digits, may be written out"
    return None


def _is_small(value: object) -> bool:
    if isinstance(value, int | float):
        return abs(value) <= NUMBER_MAX
    return value is None or isinstance(value, str)
