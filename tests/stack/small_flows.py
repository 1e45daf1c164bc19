"""Flows for the tests of the stack: what matters is where and when they run, not what they do."""

import asyncio
import os

from prefect import flow, get_run_logger


@flow
async def show_place() -> None:
    """Say what a run of the stack is given."""
    named = ("VIVESPHERE_HOME", "VIVESPHERE_VAULT__ROLE", "PREFECT_HOME")
    get_run_logger().info("cwd=%s %s", os.getcwd(), " ".join(f"{name}={os.environ.get(name)}" for name in named))


@flow
async def last(seconds: float) -> None:
    """Stay for a while, and say so ten times a second."""
    for _ in range(round(seconds * 10)):
        get_run_logger().info("still here")
        await asyncio.sleep(0.1)


@flow
async def fail() -> None:
    """Come to a bad end."""
    raise RuntimeError("as asked")
