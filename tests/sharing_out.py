"""How the suite is shared out over several processes: a file stays whole, and one process alone has the stack."""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

# Two cores bear one stack; who starts a second one beside it waits for both.
ON_THE_STACK = (
    "tests/browser/",
    "tests/faults/",
    "tests/flows/",
    "tests/stack/test_doctor.py",
    "tests/stack/test_parts_elsewhere.py",
    "tests/stack/test_prefect_through_gateway.py",
    "tests/stack/test_runs.py",
    "tests/stack/test_up_and_down.py",
)


class OneStack(LoadScopeScheduling):
    """The scheduler of `make test`, in the order of collection, so that the stack's tests begin early."""

    def __init__(self, config: Any, log: Any = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return "the stack" if nodeid.startswith(ON_THE_STACK) else nodeid.partition("::")[0]
