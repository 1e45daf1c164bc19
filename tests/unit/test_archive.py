"""Archives: what is no backup, cut, changed or of another stack or release is told in one line."""

import json
import secrets
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config import loading
from config.places import Places
from config.settings import Backup, Settings
from deployments.local import archive, backup, layout
from deployments.local.archive import DATABASE, MANIFEST, VAULT, ArchiveError, Manifest
from deployments.local.backup import BackupError, read_keys
from deployments.local.restore import restore
from tasks.domain.roles import system
from tasks.store import migrate as schema

KEY = "ab" * 32


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An archive of this release's schema."""
    return archived(tmp_path, max(schema.revisions()))


def archived(tmp_path: Path, revision: str) -> Path:
    parts = {VAULT: tmp_path / "v", DATABASE: tmp_path / "d"}
    for path in parts.values():
        path.write_bytes(secrets.token_bytes(50_000))
    manifest = Manifest(
        format=archive.FORMAT,
        made_at=datetime.now(UTC),
        backup_at=datetime.now(UTC),
        release="0.1.0",
        revision=revision,
        postgres=180_000,
        transaction_id=1234,
        host="here",
        home="/somewhere",
        key_id=archive.key_id(KEY),
        handed_over=False,
        parts={name: archive.describe(path) for name, path in parts.items()},
    )
    found = tmp_path / f"one{archive.SUFFIX}"
    archive.write(found, manifest, parts, KEY)
    return found


def said(path: Path, key: str = KEY) -> str:
    with pytest.raises(ArchiveError) as told:
        archive.open_checked(path, key)
    assert "\n" not in str(told.value) and str(told.value).startswith(f"{path}: ")
    return str(told.value)


def rewritten(path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """The same archive with another content of one member."""
    folder = path.parent / "again"
    with tarfile.open(path) as tar:
        names = tar.getnames()
        tar.extractall(folder, filter="data")
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with tarfile.open(path, "w") as tar:
        for one in names:
            tar.add(folder / one, one)


def test_a_whole_archive_opens_and_its_parts_come_out_as_they_went_in(made: Path, tmp_path: Path) -> None:
    manifest = archive.open_checked(made, KEY)
    archive.extract(made, DATABASE, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "d").read_bytes()
    assert manifest.revision in schema.revisions()
    assert made.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("left", [0, 100, 1_000, 40_000, 60_000, 100_000])
def test_an_archive_that_was_cut_anywhere_is_no_backup(made: Path, left: int) -> None:
    made.write_bytes(made.read_bytes()[:left])
    assert "use another copy" in said(made) or "cut off" in said(made)


def test_one_changed_byte_is_seen(made: Path) -> None:
    content = bytearray(made.read_bytes())
    content[content.index(DATABASE.encode(), 10_000) + 5_000] ^= 1
    made.write_bytes(content)
    assert f"{DATABASE} in it is damaged" in said(made)


def test_a_manifest_that_was_changed_with_its_part_is_seen(made: Path) -> None:
    rewritten(made, MANIFEST, lambda text: text.replace(b'"0.1.0"', b'"0.1.1"'))
    assert "changed after it was made" in said(made)


def test_an_archive_of_a_newer_format_names_the_release_to_install(made: Path) -> None:
    rewritten(made, MANIFEST, lambda text: json.dumps({**json.loads(text), "format": 2}).encode())
    assert "format 2 and was made by release 0.1.0" in said(made)


def test_keys_of_another_stack_do_not_open_it(made: Path) -> None:
    assert "keys are those of another stack" in said(made, "cd" * 32)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\0" * 4096, b"PK\x03\x04" * 500])
def test_what_is_no_backup_is_called_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert "no backup of ours" in said(tmp_path / "x")


def test_a_folder_and_nothing_are_no_backups(tmp_path: Path) -> None:
    assert "cannot be read" in said(tmp_path)
    assert "no such file" in said(tmp_path / "none")


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 9, "unseal_key": ""}', "\0"])
def test_what_are_no_keys_is_called_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys").write_text(content)
    with pytest.raises(BackupError, match=r"keys: these (are no keys|keys are of format 9)"):
        read_keys(tmp_path / "keys")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    found = tmp_path / "keys"
    found.write_text(json.dumps({"format": 1, "unseal_key": KEY, "role_id": "r", "secret_id": "s"}))
    return found


def refused(home: Path, file: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a restore into this home says; it leaves nothing behind."""
    monkeypatch.setenv("VIVESPHERE_HOME", str(home))
    loading.load.cache_clear()
    with pytest.raises((ArchiveError, BackupError)) as told:
        restore(file, keys, system("tests"))
    assert not home.with_name(f"{home.name}.restoring").exists()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_home_that_holds_anything_is_not_written_over(
    made: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "notes").write_text("mine")
    assert "is not empty: name an empty folder" in refused(home, made, keys, monkeypatch)
    assert [path.read_text() for path in home.iterdir()] == ["mine"]
    assert "is not empty" in refused(home / "notes", made, keys, monkeypatch)


def test_a_backup_of_a_newer_schema_names_the_release_to_install(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(tmp_path / "home", archived(tmp_path, "9999"), keys, monkeypatch)
    assert "made by release 0.1.0, whose database (schema 9999) this release does not know" in said


def test_the_oldest_archives_of_this_stack_go_where_it_puts_them_by_itself(tmp_path: Path) -> None:
    folder, other = tmp_path / "backups", tmp_path / "elsewhere"
    places = Places(Settings(home=tmp_path / "home", backup=Backup(folder=folder, files_kept=2)))
    layout.prepare(places.home)
    mine = [f"vivesphere-{places.stack[:8]}-2026112{day}T000000Z{archive.SUFFIX}" for day in range(1, 6)]
    strange = [f"vivesphere-00000000-20260101T000000Z{archive.SUFFIX}", "notes.txt"]
    for each in (folder, other):
        each.mkdir()
        for name in (*mine, *strange):
            (each / name).touch()
        backup.drop_oldest(places, each)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*mine[-2:], *strange])
    assert len(list(other.iterdir())) == len(mine) + len(strange)
