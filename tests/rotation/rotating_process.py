"""`python -m tests.rotation.rotating_process KIND SUBJECT`: one rotation in a process that a test may kill."""

import asyncio
import sys

from tasks.connections import open_connections
from tasks.operations.rotation import recipe
from tasks.operations.rotation.recipe import Due


async def main(kind: str, subject: str) -> None:
    """As a flow run does it."""
    async with open_connections("keys") as at:
        print(await recipe.rotate_one(at, Due(kind, subject)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
