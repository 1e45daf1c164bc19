"""The schema: from empty to head, once, and with the rights it promises."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Table, create_engine

from tasks.store import (
    access,
    activity_log,
    api_keys,
    approvals,
    attempts,
    audit,
    best_times,
    blackouts,
    bot_insights,
    bot_records,
    bots,
    breakers,
    connect_links,
    consents,
    credentials,
    evergreen,
    feeds,
    fingerprints,
    idempotency_keys,
    looks,
    media,
    metrics,
    migrate,
    notifications,
    personas,
    post_results,
    posts,
    rate_windows,
    refresh_attempts,
    reports,
    restores,
    revisions,
    rollups,
    rotations,
    run_requests,
    sampling,
    senders,
    sessions,
    settings,
    sign_in_attempts,
    sign_in_links,
    spend,
    stops,
    token_escrow,
    trend_vectors,
    trends,
    verdicts,
    x_apps,
)
from tasks.store.base import metadata
from tests.postgres_process import PostgresProcess

# Named, so that every table is registered with the metadata whatever else was imported.
STORES = (
    access,
    activity_log,
    api_keys,
    approvals,
    attempts,
    audit,
    best_times,
    blackouts,
    bot_insights,
    bot_records,
    bots,
    breakers,
    connect_links,
    consents,
    credentials,
    evergreen,
    feeds,
    fingerprints,
    idempotency_keys,
    looks,
    media,
    metrics,
    notifications,
    personas,
    post_results,
    posts,
    rate_windows,
    refresh_attempts,
    reports,
    restores,
    revisions,
    rollups,
    rotations,
    run_requests,
    sampling,
    senders,
    sessions,
    settings,
    sign_in_attempts,
    sign_in_links,
    spend,
    stops,
    token_escrow,
    trend_vectors,
    trends,
    verdicts,
    x_apps,
)


@pytest.fixture
def empty(postgres: PostgresProcess) -> Iterator[str]:
    """A database of the owner's with nothing in it."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty OWNER vivesphere_owner")
    yield "empty"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute("DROP DATABASE empty WITH (FORCE)")


def upgrade(postgres: PostgresProcess, database: str) -> tuple[str | None, str | None]:
    engine = create_engine(postgres.url(database, "vivesphere_owner"))
    try:
        with engine.connect() as connection:
            migrate.upgrade(connection)
            return migrate.at_head(connection)
    finally:
        engine.dispose()


def test_two_migrations_at_once_and_one_more_later_find_the_work_done(postgres: PostgresProcess, empty: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: upgrade(postgres, empty), range(2)))
    found, newest = upgrade(postgres, empty)
    assert found == newest
    assert both == [(newest, newest), (newest, newest)]


def test_a_migration_that_must_wait_for_a_lock_gives_up_and_changes_nothing(
    postgres: PostgresProcess, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_MS", 100)
    with psycopg.connect(postgres.conninfo(empty)) as blocker:
        blocker.execute("CREATE TABLE public.users (taken int)")  # uncommitted: whoever wants the name waits
        with pytest.raises(Exception, match="lock timeout"):
            upgrade(postgres, empty)
        blocker.rollback()
    found, newest = upgrade(postgres, empty)
    assert found == newest


def test_the_tables_that_the_code_speaks_of_are_those_of_the_schema(postgres: PostgresProcess) -> None:
    named = {thing.name for store in STORES for thing in vars(store).values() if isinstance(thing, Table)}
    assert named == set(metadata.tables)
    engine = create_engine(postgres.url("migrated", "vivesphere_owner"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": _tables_alone})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def _tables_alone(thing: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
    """Indexes and the clock stand in the migration alone; statements name columns."""
    return kind in ("table", "column") and name not in ("app_clock", "alembic_version")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("vivesphere_app", "UPDATE activity_log SET actor = 'nobody'"),
        ("vivesphere_app", "DELETE FROM activity_log"),
        ("vivesphere_app", "UPDATE audit_log SET actor = 'nobody'"),
        ("vivesphere_app", "DELETE FROM audit_log"),
        ("vivesphere_app", "TRUNCATE audit_log"),
        ("vivesphere_app", "INSERT INTO audit_leaves VALUES (1, 1, 1, '')"),
        ("vivesphere_app", "DELETE FROM audit_seals"),
        ("vivesphere_sealer", "UPDATE audit_seals SET root = ''"),
        ("vivesphere_sealer", "DELETE FROM audit_leaves"),
        ("vivesphere_sealer", "INSERT INTO audit_log (category) VALUES ('activity')"),
        ("vivesphere_sealer", "SELECT text FROM posts"),
        ("vivesphere_sealer", "SELECT password_hash FROM users"),
        ("vivesphere_app", "UPDATE app_clock SET rate = 1000"),
        ("vivesphere_app", "DROP TABLE posts"),
        ("vivesphere_app", "CREATE TABLE more (id int)"),
        ("vivesphere_reader", "UPDATE posts SET status = 'scheduled'"),
        ("vivesphere_reader", "SELECT password_hash FROM users"),
        ("vivesphere_reader", "SELECT secret_sha256 FROM api_keys"),
        ("vivesphere_reader", "SELECT sealed FROM token_escrow"),
        ("vivesphere_app", "DELETE FROM refresh_attempts"),
        ("vivesphere_reader", "SELECT secret_sha256 FROM sessions"),
        ("vivesphere_reader", "SELECT secret_sha256 FROM sign_in_links"),
    ],
)
def test_a_role_may_not_do_more_than_its_work(postgres: PostgresProcess, role: str, statement: str) -> None:
    with psycopg.connect(postgres.conninfo("migrated", role)) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute(statement)  # type: ignore[arg-type]


def test_our_own_uuid_is_version_7_and_sorts_by_age(postgres: PostgresProcess) -> None:
    with psycopg.connect(postgres.conninfo("migrated")) as connection:
        rows = connection.execute("SELECT uuid_v7(), pg_sleep(0.002) FROM generate_series(1, 50)").fetchall()
    found: list[UUID] = [row[0] for row in rows]
    assert {one.version for one in found} == {7}
    assert {one.variant for one in found} == {"specified in RFC 4122"}
    assert found == sorted(found)


def test_hours_can_be_played(postgres: PostgresProcess) -> None:
    with psycopg.connect(postgres.conninfo("migrated")) as connection:
        connection.execute(
            "UPDATE app_clock SET app_anchor = '2030-01-01T00:00Z', real_anchor = clock_timestamp(), rate = 3600"
        )
        row = connection.execute("SELECT app_now(), pg_sleep(0.01), app_now() - '2030-01-01T00:00Z'").fetchone()
        connection.rollback()
    assert row is not None
    assert row[2].total_seconds() >= 36
