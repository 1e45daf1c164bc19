"""A part that stays down is told of once, and again after it was up in between."""

import os
from dataclasses import replace

from deployments.local.board import PartNote
from deployments.local.processes import Process
from deployments.local.watchman import RESTARTS_MAX, RESTARTS_SECONDS, Watchman

PATIENCE = 30.0


class Watched:
    """A watchman with a clock of ours, and what it told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[str, str]] = []
        self.man = Watchman(PATIENCE, lambda part, said: self.told.append((part, said)), lambda: self.now)
        this = Process.of(os.getpid())
        assert this is not None
        self.up = PartNote("up", process=this)
        self.dead = PartNote("up", process=replace(this, start_ticks=this.start_ticks + 1))

    def after(self, seconds: float, **parts: PartNote) -> None:
        self.now += seconds
        self.man.look(parts)

    @property
    def names(self) -> list[str]:
        return [part for part, _ in self.told]


def test_a_part_that_comes_up_again_in_time_is_not_told_of() -> None:
    watched = Watched()
    watched.after(0, worker=watched.up)
    watched.after(1, worker=PartNote("restarting", restarts=1))
    watched.after(PATIENCE - 1, worker=replace(watched.up, restarts=1))
    watched.after(100, worker=replace(watched.up, restarts=1))
    assert watched.told == []


def test_a_part_that_stays_down_is_told_of_once_and_again_after_it_was_up() -> None:
    watched = Watched()
    watched.after(0, worker=watched.up, openbao=watched.up)
    for _ in range(100):
        watched.after(1, worker=PartNote("restarting", restarts=1), openbao=watched.up)
    assert watched.names == ["worker"]
    assert watched.told[0][1] == "worker has been restarting for 30 s; it was started again 1 times."
    watched.after(1, worker=replace(watched.up, restarts=1))
    watched.after(1, worker=watched.dead)
    watched.after(PATIENCE, worker=watched.dead)
    assert watched.names == ["worker", "worker"]


def test_a_part_that_dies_again_and_again_is_told_of_although_it_is_up() -> None:
    watched = Watched()
    for restarts in range(RESTARTS_MAX + 3):
        watched.after(10, clerk=replace(watched.up, restarts=restarts))
    assert watched.names == ["clerk"]
    watched.after(2 * RESTARTS_SECONDS, clerk=replace(watched.up, restarts=RESTARTS_MAX + 3))
    watched.after(1, clerk=replace(watched.up, restarts=RESTARTS_MAX + 4))
    assert watched.names == ["clerk"]


def test_steps_and_what_was_stopped_in_order_are_nobodys_trouble() -> None:
    watched = Watched()
    for _ in range(100):
        watched.after(1, schema=PartNote("done"), gateway=PartNote("stopped"), logins=PartNote("waiting"))
    assert watched.told == []
