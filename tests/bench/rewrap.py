"""Wrapping the keys of records again, against the vault's transit engine alone, asked for the same in batches."""

import asyncio
import time
from base64 import b64encode
from statistics import median
from uuid import uuid4

import requests

from blocks.postgres.engine import Login
from blocks.vault.transit import Plain
from config.places import Places
from config.settings import DataKeys as DataKeysSettings
from config.settings import Postgres, Rotation, X
from tasks.connections import Connections, open_connections
from tasks.operations.bot_records import TRANSIT_KEY
from tasks.operations.rotation.data_keys import DataKeys
from tasks.store import base
from tasks.store.rotations import Version
from tests.bench.figure import Figure
from tests.bench.fleet import load
from tests.makers import stored_bots
from tests.migrated_postgres import migrated_postgres
from tests.openbao_process import OpenBaoProcess, running_openbao

RECORDS = 10_000
BATCH = 1000
PAIRS = 5


def rewrap_10k_records() -> list[Figure]:
    """Seconds for ten thousand records, read from Postgres, wrapped again by the vault, and written back."""
    with migrated_postgres() as postgres, running_openbao() as vault:
        settings = vault.places.settings.model_copy(
            update={
                "postgres": Postgres(address=f"{postgres.host}:{postgres.port}", database="migrated", tls="disable"),
                "x": X(base_url="http://127.0.0.1:9"),
                "rotation": Rotation(data_keys=DataKeysSettings(batch=BATCH, records_per_minute=60_000_000)),
            }
        )
        login = Login("vivesphere_app", postgres.password)
        ours, bare = asyncio.run(_pairs(Places(settings), login, vault))
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return [
        Figure(
            "rewrap_10k_records",
            median(ours),
            median(bare),
            "s",
            "ratio <= 1.3",
            note=f"{RECORDS:,} records of 100 bots in batches of {BATCH:,}; {PAIRS} pairs, ratios "
            f"{', '.join(f'{ratio:.2f}' for ratio in ratios)}. The limit sends the same texts to the transit engine "
            "over one connection, batch after batch, and throws the answers away; ours reads them from Postgres and "
            f"writes the new ones back, unthrottled. fsync is off. {load()}",
        )
    ]


async def _pairs(places: Places, login: Login, vault: OpenBaoProcess) -> tuple[list[float], list[float]]:
    ours, bare = [], []
    async with open_connections("keys", places, own_login=login) as at:
        await _fill(at, vault)
        for number in range(PAIRS + 1):
            await asyncio.to_thread(at.transit.rotate, TRANSIT_KEY)
            transit = (await asyncio.to_thread(at.transit.versions, TRANSIT_KEY)).latest
            limit = await asyncio.to_thread(_bare, vault, await _texts(at))
            began = time.perf_counter()
            await DataKeys().set(at, await _version(at, transit))
            took = time.perf_counter() - began
            assert {text.split(":")[1] for _, text in await _texts(at)} == {f"v{transit}"}
            if number:  # the first warms both up
                ours.append(took)
                bare.append(limit)
    return ours, bare


async def _fill(at: Connections, vault: OpenBaoProcess) -> None:
    async with at.transaction() as session:
        bots = await stored_bots(session, 100)
    plain = [Plain(str(bots[number % len(bots)]), number.to_bytes(32, "big")) for number in range(RECORDS)]
    sealed = await asyncio.to_thread(vault.transit("gateway").encrypt, TRANSIT_KEY, plain)
    async with at.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO bot_records (bot_id, name, version, format, wrapped_key, nonce, ciphertext, created_by)"
            " SELECT bot::uuid, 'record', place, 'bytes', wrapped, %s, %s, 'bench'"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS sealed (bot, wrapped, place)",
            (bytes(12), bytes(200), [one.context for one in sealed], [one.text for one in sealed]),
        )


async def _texts(at: Connections) -> list[tuple[str, str]]:
    async with at.transaction() as session:
        connection = await session.connection()
        found = await connection.exec_driver_sql("SELECT bot_id::text, wrapped_key FROM bot_records ORDER BY id")
        return [(row[0], row[1]) for row in found]


def _bare(vault: OpenBaoProcess, texts: list[tuple[str, str]]) -> float:
    """Seconds that the vault needs for all of them, asked by a bare client with its bodies ready."""
    client = vault.client("keys")
    client.get("auth/token/lookup-self")  # signs in
    batches = [
        {
            "batch_input": [
                {"context": b64encode(bot.encode()).decode(), "ciphertext": text}
                for bot, text in texts[at : at + BATCH]
            ]
        }
        for at in range(0, len(texts), BATCH)
    ]
    url = f"{vault.places.vault}/v1/{vault.places.settings.vault.transit_mount}/rewrap/{TRANSIT_KEY}"
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(vault.places.vault_ca)
        session.headers["X-Vault-Token"] = str(client.adapter.token)
        session.get(f"{vault.places.vault}/v1/sys/health")  # the handshake
        began = time.perf_counter()
        for batch in batches:
            session.post(url, json=batch).raise_for_status()
        return time.perf_counter() - began


async def _version(at: Connections, transit: int) -> Version:
    async with at.transaction() as session:
        now = await base.now(session)
    facts = {"transit": transit}
    return Version(
        uuid4(), "data_keys", TRANSIT_KEY, transit, "created", facts, None, "bench", now, now, None, None, None, 1
    )
