"""Templates: what may stand in one, and known ways out of Jinja2 that lead nowhere."""

import tracemalloc
from typing import Any

import pytest
from jinja2 import TemplateError
from pydantic import ValidationError

from tasks.domain.templates import OUTPUT_CHARACTERS_MAX, BadTemplateError, Template, lint, render
from tests.makers import a_bot, a_persona

SLOTS = {"place", "level", "items"}
VALUES: dict[str, Any] = {"place": "Vienna", "level": 3, "items": "abc"}

# Ways into the interpreter, into the settings, out of the sandbox, and ways to use all memory or time; from public
# lists of server-side template injection (PortSwigger, PayloadsAllTheThings, Jinja2's own advisories).
ATTACKS = (
    # Into the interpreter.
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ place.__class__ }}",
    "{{ place['__class__'] }}",
    "{{ place|attr('__class__') }}",
    "{{ place|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ ().__class__.__base__.__subclasses__()[40]('/etc/passwd').read() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__.os }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').popen('id').read() }}",
    "{{ self._TemplateReference__context }}",
    "{{ config.items() }}",
    "{{ request.application.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ url_for.__globals__ }}",
    "{{ dict(a=1) }}",
    "{{ range(10) }}",
    "{{ place.format(place) }}",
    "{{ '{0.__class__}'.format(place) }}",
    "{{ '{0.__class__.__init__}'|format(place) }}",
    "{{ place|format }}",
    "{{ ['%s']|map('format', place)|list }}",
    "{{ items|map(attribute='__class__')|list }}",
    "{{ items|groupby('__class__') }}",
    "{{ [place]|selectattr('__class__')|list }}",
    "{{ place|xmlattr }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import system %}",
    "{% extends '/etc/passwd' %}",
    "{% set x = place.__class__ %}{{ x }}",
    "{% macro a() %}{{ caller() }}{% endmacro %}{{ a() }}",
    "{% call place.upper() %}x{% endcall %}",
    "{% filter attr('__class__') %}x{% endfilter %}",
    "{% block a %}{{ super.__class__ }}{% endblock %}",
    "{% with a = place.__class__ %}{{ a }}{% endwith %}",
    "{% autoescape false %}{{ place.__class__ }}{% endautoescape %}",
    "{% raw %}{% endraw %}{{ place.__class__ }}",
    # Memory and time.
    "{{ 'a' * 1000000000 }}",
    "{{ 9 ** 999999999 }}",
    "{{ 'a'.ljust(1000000000) }}",
    "{{ place|center(1000000000) }}",
    "{{ place|indent(1000000000) }}",
    "{{ '%1000000000s'|format('a') }}",
    "{{ place|replace('i', 'iiiiiiiiii')|replace('i', 'iiiiiiiiii') }}",
    "{{ place|wordwrap(1) }}",
    "{{ place ~ (1 << 9999999) }}",
    "{% for a in range(99999999) %}{{ a }}{% endfor %}",
    "{% for a in items recursive %}{{ loop(items) }}{% endfor %}",
    "{{ lipsum(n=100000) }}",
    "{{ [1, 2, 3] }}",
    "{{ {'a': place} }}",
    "{{ place[::-1] }}",
    "{{ place is callable }}",
    "{{ place.upper }}",
    "{{ 10000000000 }}",
    "{{ " + "(" * 700 + "place" + ")" * 700 + " }}",
    "{{ " + "not " * 450 + "place }}",
    "{{ place" + "|upper" * 300 + " }}",
    "{{ " + " ~ ".join(["place"] * 300) + " }}",
    "{{ x" + "y" * 2000 + " }}",
    "{{ place|truncate(5, true, end='...') }}",
    "{{ place|truncate(*items) }}",
)


def test_of_known_attacks_none_comes_through() -> None:
    through = []
    tracemalloc.start()
    for attack in ATTACKS:
        try:
            lint(attack, SLOTS)
        except BadTemplateError as error:
            assert "\n" not in str(error)
            continue
        through.append(attack)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert through == []
    assert len(set(ATTACKS)) >= 30
    assert peak < 30_000_000


@pytest.mark.parametrize("attack", ATTACKS[:24])
def test_the_sandbox_alone_would_do_no_harm_either(attack: str) -> None:
    """What the linter let pass by mistake would still find no global, no filter and no attribute that leads out."""
    try:
        said = render(attack, VALUES)
    except (BadTemplateError, TemplateError):
        return
    assert "class" not in said and "root:" not in said and "uid=" not in said


def test_a_text_cannot_grow_without_bounds() -> None:
    long = "".join("{{ place }}" for _ in range(90))
    lint(long, SLOTS)
    tracemalloc.start()
    with pytest.raises(BadTemplateError, match=f"more than {OUTPUT_CHARACTERS_MAX}"):
        render(long, {"place": "x" * 500})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_what_is_said_in_a_slot_is_never_a_template() -> None:
    assert render("At {{ place }}", {"place": "{{ 7 * 7 }}{% include 'x' %}"}) == "At {{ 7 * 7 }}{% include 'x' %}"


def test_slots_filters_and_conditions_are_enough_to_say_something() -> None:
    text = "{{ place|upper }}: {% if level >= 3 %}high{% else %}low{% endif %}{{ ', take care' if level > 5 else '' }}"
    assert lint(text, SLOTS) == {"place", "level"}
    assert render(text, VALUES) == "VIENNA: high"
    assert render(text, {**VALUES, "level": 6}) == "VIENNA: high, take care"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "It is {{ wether }}"}, "line 1 of the template: there is no slot 'wether'; there are"),
        ({"text": "a\n{% if place %}"}, "line 2 of the template"),
        ({"text": "{{ place }} {{ place.upper() }}"}, "a call may not stand in a template"),
        ({"distinct_by": ("place",), "text": "Hello"}, "distinct_by names 'place', which the text does not say"),
        ({"distinct_by": ("handle",), "text": "{{ handle }}"}, "distinct_by names 'handle'; it can be one of"),
        ({"data": ({"place": "a"}, {"plaice": "b"})}, "record 2 of data has other slots than the first: place"),
        ({"data": ({"date": "a"},)}, "give another name to date"),
        ({"distinct_by": ()}, "at least 1"),
        ({"text": "{% if place > 3 %}{{ place }}{% endif %}"}, "it cannot be filled in"),
    ],
)
def test_a_template_that_cannot_be_said_is_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    whole = {"name": "a", "text": "{{ place }}", "data": ({"place": "Vienna"},), "distinct_by": ("place",), **given}
    with pytest.raises(ValidationError) as caught:
        Template(**whole)
    [problem] = caught.value.errors()
    assert said in problem["msg"]
    assert "\n" not in problem["msg"]


def test_a_bot_gives_the_facts_that_its_persona_speaks_of() -> None:
    forecast = {"name": "forecast", "text": "{{ place }} on {{ date }}", "facts": ("place",)}
    persona = a_persona(templates=(Template(**forecast, distinct_by=("place", "date")),))
    assert a_bot(persona=persona, facts={"place": "Vienna"}).facts == {"place": "Vienna"}
    with pytest.raises(ValidationError, match="template 'forecast' needs the fact 'place'"):
        a_bot(persona=persona)
