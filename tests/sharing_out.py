"""How `make test` shares the suite out: first what needs no stack, over several processes; then the stack's, alone."""

# A stack beside other work on two cores is a slow stack, and what is measured then is the other work.
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
