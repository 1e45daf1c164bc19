"""The stack of the session, for tests that break its parts and find them mended."""

from collections.abc import Iterator

import pytest

from tests.running_stack import SMALL_FLOWS as FLOWS
from tests.running_stack import RunningStack, eventually

__all__ = ["FLOWS", "RunningStack", "eventually"]


@pytest.fixture(scope="package")
def running(session_stack: RunningStack) -> Iterator[RunningStack]:
    """The stack, up. A test that stops it starts it again."""
    with session_stack.at_home():
        session_stack.up()
        yield session_stack
        # Its small flows run again and again, which nobody after this folder needs.
        session_stack.down()
