"""A stack made of a backup while the one it comes from lives on: X's ledger judges what the two of them did."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from config.places import Places
from deployments.local import doctor, postgres
from tests.aged_tokens import ROTATION, near_the_end, refreshes
from tests.faults.test_planted_secrets import bootstrap_secrets, kept_secrets
from tests.posting_stack import PostingStack
from tests.running_stack import SETTINGS, RunningStack, eventually
from tests.secret_search import Secret, search
from tests.x_sandbox_process import XSandboxProcess

TAKE_OVER_IS_SEALED = (
    "SELECT 1 FROM audit_log AS row JOIN audit_leaves AS leaf ON leaf.row_id = row.id"
    " WHERE row.action = 'restores.take_over'"
)


@contextmanager
def sandbox_alone(places: Places) -> Iterator[XSandboxProcess]:
    """X goes on where it was, although the stack it was a part of is gone."""
    folder, port = places.home / "x_sandbox", str(places.settings.x.sandbox_port)
    token = places.secrets / "x-sandbox.token"
    found = XSandboxProcess(folder, "--port", port, "--control-token-file", str(token))
    found.token_file = token
    with found:
        yield found


@pytest.fixture
def second(stack: PostingStack, tmp_path: Path) -> Iterator[RunningStack]:
    """A home that is not there yet, with the same X; whatever was started in it is gone afterwards."""
    found = RunningStack(tmp_path / "second", {**SETTINGS, "VIVESPHERE_X__BASE_URL": stack.running.places.x})
    yield found
    with found.at_home():
        found.down()


def refused(stack: PostingStack, *arguments: str) -> str:
    with pytest.raises(AssertionError) as said:
        stack.command(*arguments)
    return str(said.value)


def look_into(archive: Path, folder: Path) -> Path:
    """Everything in an archive as a thief would lay it out: unpacked, and the dump as SQL."""
    folder.mkdir()
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    with tarfile.open(folder / "vault.snapshot", "r:gz") as snapshot:
        snapshot.extractall(folder / "vault", filter="data")
    reader = postgres.binary("pg_restore")
    subprocess.run([reader, f"--file={folder / 'ours.sql'}", str(folder / "database.dump")], check=True)
    return folder


def rotated(stack: PostingStack) -> None:
    """A look at the tokens that are due, from beginning to end."""
    run = stack.running.start_run(ROTATION)
    eventually(lambda: stack.running.run(run)["state_type"] == "COMPLETED", 120)


@pytest.mark.timeout(900)  # a second whole stack is built and started, which takes minutes
@pytest.mark.promise("P1")
@pytest.mark.promise("C1")
@pytest.mark.promise("C3")
@pytest.mark.soak
def test_two_stacks_of_one_backup_post_nothing_twice_and_lose_no_token(
    stack: PostingStack, second: RunningStack, tmp_path: Path
) -> None:
    places, bot = stack.running.places, stack.bots[0]
    out = stack.schedule(10)
    stack.until_all(out, "published")
    soon = stack.schedule(20, due_in_seconds=20)
    meanwhile = stack.schedule(10, due_in_seconds=75)
    later = stack.schedule(10, due_in_seconds=4 * 3600)
    near_the_end(stack, bot)
    before = refreshes(stack, bot)

    made = json.loads(stack.command("db", "backup", "--to", str(tmp_path / "archives"), "--json"))
    archive, keys = made["file"], str(tmp_path / "keys.json")
    stack.command("db", "keys", keys)
    assert "whole" in stack.command("db", "check", archive, "--keys", keys)
    known = [*bootstrap_secrets(places), *kept_secrets(places, stack)]
    laid_out = look_into(Path(archive), tmp_path / "laid-out")
    assert search([Secret("a text", out[0].text)], laid_out), "what is no secret is not found either"
    assert search(known, laid_out, Path(archive).parent) == set()

    rotated(stack)
    assert refreshes(stack, bot) == [*before, "granted"]
    stack.until_all(soon, "published", 60)
    key = (places.secrets / "cli.key").read_text().strip()

    with second.at_home():
        restored = PostingStack(second)
        restored.command("db", "restore", archive, "--keys", keys)
        second.up()
        # It finds out by itself what the other one did, and does nothing of its own.
        restored.until_all(soon, "published", 150)
        rotated(restored)
        assert "still runs here" in refused(restored, "db", "take-over", "--yes")
        assert "take-over" in refused(restored, "resume", "--yes")
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{second.places.gateway}/api/v1/bots", headers=headers, trust_env=False).status_code == 401
        assert "restore" in {found.name for found in doctor.examine(second.places) if not found.well}
    stack.until_all(meanwhile, "published", 90)
    with second.at_home():
        restored.until_all(meanwhile, "published", 120)
    assert {len(entries) for entries in stack.accepted([*soon, *meanwhile]).values()} == {1}
    assert refreshes(stack, bot) == [*before, "granted"]

    stack.command("posts", "cancel", *(post.id for post in later))
    stack.forget_connection()
    stack.running.down()
    with sandbox_alone(places) as x, second.at_home():
        late = restored.schedule(10, bots=stack.bots)
        restored.until_all(late, "unknown")
        restored.command("db", "take-over", "--yes")
        restored.until_all(late, "published", 180)
        restored.sql(
            "UPDATE posts SET due_at = app_now(), planned_at = app_now(), next_at = app_now() WHERE id = ANY(%s)",
            [post.id for post in later],
        )
        restored.until_all(later, "published", 90)
        rotated(restored)
        created = [entry["text"] for entry in x.ledger("create", after=stack.ledger_from)]
        assert sorted(created) == sorted(post.text for post in [*out, *soon, *meanwhile, *late, *later])
        grants = [entry for entry in x.ledger("token", after=stack.ledger_from) if entry["grant"] == "refresh_token"]
        assert {entry["result"] for entry in grants} == {"granted"}
        eventually(lambda: restored.sql(TAKE_OVER_IS_SEALED))
        restored.command("audit", "verify")
        restored.forget_connection()
