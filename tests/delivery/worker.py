"""One posting process of many: `python -m tests.delivery.worker`, what it needs as JSON on the standard input."""

import asyncio
import json
import sys
import time
from typing import Any
from uuid import UUID

from blocks.postgres.engine import Login, Server, open_engine
from blocks.x.client import XClient
from config.places import Places
from config.settings import Settings, X
from tasks.connections import Connections
from tasks.domain.limits import Limit, Limits
from tasks.operations import delivery, governor
from tasks.operations.credentials import access_path
from tasks.operations.governor import Tables
from tests.delivery.conftest import FAST, FakeKv


async def main(given: dict[str, Any]) -> None:
    """Serve one window."""
    real = time.time
    # This host's wall clock is wrong.
    time.time = lambda: real() + given["skew_seconds"]
    kv = FakeKv()
    for bot_id, token in given["tokens"].items():
        kv.secrets[access_path(UUID(bot_id))] = token

    async def login() -> Login:
        return Login("vivesphere_app", given["password"])

    server = Server(given["host"], given["port"], given["database"], tls="disable")
    engine = open_engine(server, login, application="worker", pool_size=4)
    async with XClient(given["x"], lanes=FAST.lanes, connect_timeout_seconds=1, deadline_seconds=1.5) as x:
        # Eight of these may take long to be up; what waited for them is not late by that.
        patient = FAST.model_copy(update={"late_seconds": 3600})
        places = Places(Settings(posting=patient, x=X(base_url=given["x"])))
        at = Connections(places, server, login, engine, kv, x, None, None)  # type: ignore[arg-type]
        found = governor.tables(at)
        endpoints = dict(found.limits.endpoints)
        endpoints[governor.CREATE] = [Limit.model_validate(limit) for limit in given["limits"]]
        limits = Limits(source="a test", read_on=found.limits.read_on, endpoints=endpoints)
        at._kept[Tables] = Tables(limits, found.prices)
        async with delivery.open_window(at, given["seconds"]) as window:
            async for claim in window:
                window.sending(delivery.publish(at, claim))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
