"""The shape that the posting flow does not have: one Prefect task run for each bot.

A process of its own, because Prefect reads its server's address once, when it is imported.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence

import httpx
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from tests.bench.limits import SECONDS


async def task_per_bot(url: str, tokens: Sequence[str], most: int) -> float:
    """Seconds from the flow's first line to the last answer; the server's own later work is not counted."""
    slots = asyncio.Semaphore(most)
    async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as client:

        @task(persist_result=False, cache_policy=NO_CACHE)
        async def send(number: int) -> None:
            async with slots:
                answer = await client.post(
                    f"{url}/2/tweets",
                    json={"text": f"bench task {number} {time.time_ns()}"},
                    headers={"Authorization": f"Bearer {tokens[number]}"},
                )
            assert answer.status_code == 201, answer.text

        @flow(persist_result=False)
        async def one_task_a_bot() -> float:
            began = time.perf_counter()
            await asyncio.gather(*(send(number) for number in range(len(tokens))))
            return time.perf_counter() - began

        return await one_task_a_bot()


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(asyncio.run(task_per_bot(given["url"], given["tokens"], given["most"])))
