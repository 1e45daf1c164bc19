"""The stack of the session, posting."""

from tests.posting_stack import posting_stack, stack

__all__ = ["posting_stack", "stack"]
