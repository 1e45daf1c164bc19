"""The ways in which this X breaks, one small function each; the control plane says where, how often and how hard."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from random import Random
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from deployments.x_sandbox.answers import PROBLEMS, Answer, problem, web_page
from deployments.x_sandbox.connection import Connection
from deployments.x_sandbox.settings import EndpointName

When = Literal["before", "after"]


class Ended(Exception):
    """The fault has dealt with the connection; nothing is left to answer."""


def _known(name: str) -> str:
    if name not in PROBLEMS:
        raise ValueError(f"one of {', '.join(PROBLEMS)}")
    return name


class Rule(BaseModel):
    """Breaks the requests that it matches: `before` X accepts them, or `after`, when only the answer can suffer.

    A rule for `after` strikes accepted requests alone. Without `count` it stays until it is deleted. What `suspend` and
    `revoke` do to an account or to a token outlasts the rule.
    """

    model_config = ConfigDict(extra="forbid")

    id: int = 0
    fault: Literal[
        "delay",
        "drop",
        "reset",
        "freeze",
        "error",
        "html",
        "problem",
        "suspend",
        "revoke",
        "truncate",
        "cut",
        "drip",
    ]
    when: When = "before"
    endpoint: EndpointName | None = Field(None, description="None is every one.")
    account: str | None = Field(None, description="Username; None is every one.")
    probability: float = Field(1, gt=0, le=1)
    count: int | None = Field(None, ge=1, description="Strikes left; the rule goes when they are used up.")
    milliseconds: float = Field(100, ge=0, description="How long a delay lasts, or each byte of a drip takes.")
    status: HTTPStatus = Field(HTTPStatus.SERVICE_UNAVAILABLE, description="Of an error or an HTML page, from 400 up.")
    problem: Annotated[str, AfterValidator(_known)] = Field("forbidden", description="Which refusal of X.")
    reset_seconds: float | None = Field(None, ge=0, description="Of a problem: when its headers say the limit ends.")

    @model_validator(mode="after")
    def _possible(self) -> "Rule":
        if self.when == "after" and self.fault == "problem":
            raise ValueError("X does not refuse what it accepted; use error")
        if self.when == "before" and self.fault in ("truncate", "cut", "drip"):
            raise ValueError(f'{self.fault} breaks an answer, so it needs "when": "after"')
        if self.status < HTTPStatus.BAD_REQUEST:
            raise ValueError("status must be 400 or above")
        return self

    @property
    def everywhere(self) -> bool:
        """Whether it stops all of X before anybody asks whose request it is; only a freeze of everything does."""
        return self.fault == "freeze" and self.when == "before" and self.endpoint is None and self.account is None


class Faults:
    """The active rules."""

    def __init__(self) -> None:
        self.rules: dict[int, Rule] = {}
        self._numbers = itertools.count(1)

    def add(self, rule: Rule) -> Rule:
        """Activate a rule and number it."""
        numbered = rule.model_copy(update={"id": next(self._numbers)})
        self.rules[numbered.id] = numbered
        return numbered

    def clear(self) -> None:
        """Heal everything."""
        self.rules.clear()

    def freeze(self, chance: Random) -> Rule | None:
        """The rule that stops everything, if it strikes this time."""
        return next(
            (rule for rule in list(self.rules.values()) if rule.everywhere and self._strikes(rule, chance)), None
        )

    def take(self, target: "Target", chance: Random) -> Iterator[Rule]:
        """The rules that strike this request, one by one: what comes after a rule that ends it is not used up."""
        for rule in list(self.rules.values()):
            if rule.id in self.rules and not rule.everywhere and target.hit_by(rule) and self._strikes(rule, chance):
                yield rule

    def _strikes(self, rule: Rule, chance: Random) -> bool:
        if rule.probability < 1 and chance.random() >= rule.probability:
            return False
        if rule.count is not None:
            rule.count -= 1
            if rule.count == 0:
                del self.rules[rule.id]
        return True


@dataclass(frozen=True, slots=True)
class Target:
    """A request, as far as a rule may be aimed at it."""

    when: When
    endpoint: str
    username: str | None
    has_token: bool

    def hit_by(self, rule: Rule) -> bool:
        """Whether the rule means this request."""
        return (
            rule.when == self.when
            and rule.endpoint in (None, self.endpoint)
            and (rule.account is None or rule.account.lower() == (self.username or "").lower())
            and (rule.fault != "suspend" or self.username is not None)
            and (rule.fault != "revoke" or self.has_token)
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault strikes: the connection, the answer so far (None before acceptance) and the sandbox's time."""

    connection: Connection
    answer: Answer | None
    now: float


async def strike(rule: Rule, scene: Scene) -> Answer | None:
    """Let one rule happen to a connection: the answer to go on with, None while there is none. Raises Ended."""
    return await _STRIKES[rule.fault](rule, scene)


async def _delay(rule: Rule, scene: Scene) -> Answer | None:
    await asyncio.sleep(rule.milliseconds / 1000)
    return scene.answer


async def _drop(_: Rule, scene: Scene) -> Answer | None:
    scene.connection.drop()
    raise Ended


async def _reset(_: Rule, scene: Scene) -> Answer | None:
    scene.connection.reset()
    raise Ended


async def _freeze(_: Rule, scene: Scene) -> Answer | None:
    await scene.connection.freeze()
    raise Ended


async def _error(rule: Rule, _: Scene) -> Answer | None:
    return problem(rule.status, HTTPStatus(rule.status).phrase)


async def _html(rule: Rule, _: Scene) -> Answer | None:
    return web_page(rule.status, "Attention Required! | Cloudflare")


async def _problem(rule: Rule, scene: Scene) -> Answer | None:
    answer = PROBLEMS[rule.problem]
    if rule.reset_seconds is None:
        return answer
    reset = b"%d" % (scene.now + rule.reset_seconds)
    return replace(answer, headers=[(b"x-rate-limit-remaining", b"0"), (b"x-rate-limit-reset", reset)])


async def _truncate(_: Rule, scene: Scene) -> Answer | None:
    answer = scene.answer
    return answer and replace(answer, body=answer.body[: len(answer.body) // 2])


async def _cut(_: Rule, scene: Scene) -> Answer | None:
    if scene.answer:
        scene.connection.cut(scene.answer)
    raise Ended


async def _drip(rule: Rule, scene: Scene) -> Answer | None:
    if scene.answer:
        await scene.connection.drip(scene.answer, rule.milliseconds / 1000)
    raise Ended


_STRIKES: dict[str, Callable[[Rule, Scene], Awaitable[Answer | None]]] = {
    "delay": _delay,
    "drop": _drop,
    "reset": _reset,
    "freeze": _freeze,
    "error": _error,
    "html": _html,
    "problem": _problem,
    "truncate": _truncate,
    "cut": _cut,
    "drip": _drip,
}
