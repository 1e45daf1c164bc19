"""Turns: who has waited takes precedence over who has much."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue that serves its owners in rotation: each gives one thing, then the next owner is asked.

    Things of one owner keep their order. A new owner waits for one round at most, whatever the others have lined up.
    """

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[T]] = {}
        self._rotation: deque[Hashable] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, owner: Hashable, thing: T) -> None:
        """Line up behind what the owner has waiting already."""
        if owner not in self._lines:
            self._lines[owner] = deque()
            self._rotation.append(owner)
        self._lines[owner].append(thing)
        self._length += 1

    def take(self) -> T:
        """The next thing of the owner whose turn it is; raises IndexError when nothing waits."""
        owner = self._rotation.popleft()
        line = self._lines[owner]
        thing = line.popleft()
        self._length -= 1
        if line:
            self._rotation.append(owner)
        else:
            del self._lines[owner]
        return thing
