"""What a kind of credential must be able to do so that `recipe` rotates it.

A new kind is one file here with a class that has these methods, its name in `kinds.KINDS`, and a section of its name in
the settings under `rotation`. The recipe calls one method a step, notes where it led in the table `rotations`, and goes
on from there after a kill -9: so each method may be called again for the same version, after it was cut off anywhere or
had been done already, and must then come to the same end. What it needs for that (a lease's id, the name of a key)
stands in `version.facts`; it never holds a secret, and `version.id` marks writes to the vault (`Kv.write_once`).

create   make the new secret where it will lie; nobody uses it yet
set      make the other side accept it, beside the one in use
test     use it as its readers will; raises TestFailedError where it does not work
finish   move the one label that readers follow; from here on they use it, and the one before it stays good
remove   end a version for good: the one before, after its grace; or one on its way that was given up

`create`, `set` and `test` may answer facts to be kept. A method that cannot go on raises NotYet (it is called again by
a later run, nothing is wrong) or NeedsPersonError (only a person can help; the text says what to do). What the vault,
the database or X raise because they are away is the recipe's business: the version waits where it is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from config.settings import KindOfRotation
from config.settings import Rotation as RotationSettings
from tasks.connections import Connections
from tasks.store.rotations import Version

Facts = Mapping[str, Any]


class TestFailedError(RuntimeError):
    """A new version does not work: the one in use stays, and the run stops."""

    __test__ = False  # its name begins as that of a class of tests


class NotYet(Exception):  # noqa: N818  # nothing is wrong
    """There is more to do, later; `facts` are kept until then."""

    def __init__(self, said: str, facts: Facts | None = None) -> None:
        super().__init__(said)
        self.facts: Facts = facts or {}


class NeedsPersonError(NotYet):
    """Nothing goes on before a person has done what the text says."""


@dataclass(frozen=True)
class Subject:
    """One credential of a kind as it was found in use: since when, and what stops where it breaks (`serves`)."""

    name: str
    since: datetime
    serves: str
    facts: Facts = field(default_factory=dict)


class Kind(Protocol):
    """One kind of credential."""

    name: str

    def rules(self, settings: RotationSettings) -> KindOfRotation:
        """Its section of the settings."""

    async def subjects(self, at: Connections) -> Sequence[Subject]:
        """The credentials of this kind that there are, in the order in which they are rotated."""

    async def create(self, at: Connections, version: Version) -> Facts | None:
        """Make the new secret."""

    async def set(self, at: Connections, version: Version) -> Facts | None:
        """Make it accepted."""

    async def test(self, at: Connections, version: Version) -> Facts | None:
        """Use it."""

    async def finish(self, at: Connections, version: Version) -> None:
        """Move the label to it."""

    async def remove(self, at: Connections, version: Version) -> None:
        """End it."""


Method = Callable[[Connections, Version], Awaitable[Facts | None]]
