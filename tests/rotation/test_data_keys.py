"""The key of bot records changes under records that are read and written, and leaves no record behind."""

import asyncio
import os
import sys
from collections.abc import Sequence
from uuid import UUID

import pytest

from blocks.vault.errors import Denied
from blocks.vault.transit import Plain, Sealed
from config.settings import DataKeys, Rotation
from tasks.connections import Connections
from tasks.operations.bot_records import TRANSIT_KEY
from tasks.operations.rotation import recipe
from tasks.operations.rotation.recipe import Done, Due
from tests.makers import stored_bots
from tests.openbao_process import shared_openbao
from tests.postgres_process import PostgresProcess
from tests.waiting import until

pytestmark = pytest.mark.promise("C2")

ONE = Due("data_keys", TRANSIT_KEY)
RECORDS = 300
# A nonce and a sealed value, which nobody here opens.
SEALED = (bytes(12), bytes(16))


@pytest.fixture
def rotation() -> Rotation:
    return Rotation(
        lease_seconds=0.5, data_keys=DataKeys(max_age_seconds=5, grace_seconds=1, batch=50, run_seconds=0.1)
    )


async def stored_records(at: Connections, count: int) -> UUID:
    """So many records of one bot, each with a key of its own, wrapped as they are now."""
    async with at.transaction() as session:
        [bot_id] = await stored_bots(session, 1)
    plain = [Plain(str(bot_id), number.to_bytes(32, "big")) for number in range(count)]
    wrapped = await asyncio.to_thread(shared_openbao().transit("gateway").encrypt, TRANSIT_KEY, plain)
    async with at.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO bot_records (bot_id, name, version, format, wrapped_key, nonce, ciphertext, created_by)"
            " SELECT %s, 'record', place, 'bytes', wrapped, %s, %s, 'test'"
            " FROM unnest(%s::text[]) WITH ORDINALITY AS wrapped (wrapped, place)",
            (bot_id, *SEALED, [one.text for one in wrapped]),
        )
    return bot_id


async def wrapped_by(at: Connections) -> dict[int, int]:
    """How many records each version of the key wraps."""
    async with at.transaction() as session:
        connection = await session.connection()
        found = await connection.exec_driver_sql(
            "SELECT substr(split_part(wrapped_key, ':', 2), 2)::int, count(*) FROM bot_records GROUP BY 1"
        )
        return {row[0]: row[1] for row in found}


async def opened(at: Connections, bot_id: UUID) -> Sequence[bytes | None]:
    """Every record's own key, in order, as the gateway opens them."""
    async with at.transaction() as session:
        connection = await session.connection()
        found = await connection.exec_driver_sql("SELECT wrapped_key FROM bot_records ORDER BY version")
        texts = [row[0] for row in found]
    sealed = [Sealed(str(bot_id), text) for text in texts]
    return await asyncio.to_thread(shared_openbao().transit("gateway").decrypt, TRANSIT_KEY, sealed)


async def ended(at: Connections, how: str) -> Done | None:
    done = await recipe.rotate_one(at, ONE)
    assert done.found in ("waiting", how), done
    return done if done.found == how else None


async def test_every_record_is_wrapped_again_over_several_runs_and_the_old_version_opens_nothing(
    at: Connections,
) -> None:
    bot_id = await stored_records(at, RECORDS)
    [(before, count)] = (await wrapped_by(at)).items()
    assert count == RECORDS
    await until(lambda: ended(at, "rotated"))
    assert await wrapped_by(at) == {before + 1: RECORDS}
    assert await opened(at, bot_id) == [number.to_bytes(32, "big") for number in range(RECORDS)]
    late = shared_openbao().transit("gateway")
    [old] = await asyncio.to_thread(late.encrypt, TRANSIT_KEY, [Plain(str(bot_id), bytes(32))])
    await until(lambda: ended(at, "removed"))
    versions = await asyncio.to_thread(at.transit.versions, TRANSIT_KEY)
    assert (versions.latest, versions.least) == (before + 1, before + 1)
    assert old.text.startswith(f"vault:v{before + 1}:")


async def test_a_run_that_is_killed_in_the_middle_leaves_no_record_on_the_old_key_once_the_next_has_ended(
    at: Connections, postgres: PostgresProcess
) -> None:
    bot_id = await stored_records(at, RECORDS)
    [before] = await wrapped_by(at)
    await until(lambda: _is_due(at))
    kv = shared_openbao().kv("provision")
    kv.write("postgres/login", {"username": "vivesphere_app", "password": postgres.password}, None)
    vault, database = at.places.settings.vault, at.places.settings.postgres
    environment = {
        **os.environ,
        "VIVESPHERE_HOME": str(at.places.home),
        "VIVESPHERE_VAULT__PORT": str(vault.port),
        "VIVESPHERE_POSTGRES__ADDRESS": str(database.address),
        "VIVESPHERE_POSTGRES__DATABASE": database.database,
        "VIVESPHERE_X__BASE_URL": "http://127.0.0.1:9",
        "VIVESPHERE_ROTATION__LEASE_SECONDS": "0.5",
        "VIVESPHERE_ROTATION__DATA_KEYS__MAX_AGE_SECONDS": "5",
        # A batch each half second, so that there is a middle to be killed in.
        "VIVESPHERE_ROTATION__DATA_KEYS__BATCH": "20",
        "VIVESPHERE_ROTATION__DATA_KEYS__RECORDS_PER_MINUTE": "2400",
    }
    command = [sys.executable, "-m", "tests.rotation.rotating_process", *ONE.__dict__.values()]
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    await until(lambda: _some(at, before + 1))
    process.kill()
    await process.wait()
    left = await wrapped_by(at)
    assert left[before] > 0 and left[before + 1] > 0
    await until(lambda: ended(at, "rotated"))
    assert await wrapped_by(at) == {before + 1: RECORDS}
    assert await opened(at, bot_id) == [number.to_bytes(32, "big") for number in range(RECORDS)]


async def _is_due(at: Connections) -> bool:
    return ONE in await recipe.due(at)


async def _some(at: Connections, version: int) -> bool:
    return (await wrapped_by(at)).get(version, 0) > 0


async def test_a_record_that_was_being_stored_when_the_key_changed_is_wrapped_again_before_the_old_version_ends(
    at: Connections,
) -> None:
    bot_id = await stored_records(at, 1)
    async with at.transaction() as session:
        connection = await session.connection()
        taken = (await connection.exec_driver_sql("DELETE FROM bot_records RETURNING wrapped_key")).scalar_one()
    await until(lambda: ended(at, "rotated"))
    async with at.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO bot_records (bot_id, name, version, format, wrapped_key, nonce, ciphertext, created_by)"
            " VALUES (%s, 'late', 1, 'bytes', %s, %s, %s, 'test')",
            (bot_id, taken, *SEALED),
        )
    await until(lambda: ended(at, "removed"))
    assert await opened(at, bot_id) == [bytes(32)]


async def test_a_damaged_record_stops_the_rotation_before_anything_is_ended(at: Connections) -> None:
    await stored_records(at, 10)
    before = await asyncio.to_thread(at.transit.versions, TRANSIT_KEY)
    async with at.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE bot_records SET wrapped_key = left(wrapped_key, -8) || 'AAAAAAA=' WHERE version = 3"
        )
    done = await until(lambda: ended(at, "failed"))
    assert "cannot be again" in done.said
    assert (await asyncio.to_thread(at.transit.versions, TRANSIT_KEY)).least == before.least


async def test_whoever_rotates_can_neither_look_inside_nor_delete_the_key(at: Connections) -> None:
    vault = shared_openbao().client("keys")
    mount = at.places.settings.vault.transit_mount
    for path, body in (
        (f"{mount}/decrypt/{TRANSIT_KEY}", {"ciphertext": "vault:v1:AA=="}),
        (f"{mount}/keys/{TRANSIT_KEY}/config", {"deletion_allowed": True}),
    ):
        with pytest.raises(Denied):
            vault.put(path, body)
