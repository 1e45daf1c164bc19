"""Logs of children: kept small while they are written."""

import os
from pathlib import Path

from deployments.local import log_files


def test_a_full_log_is_put_aside_its_writer_goes_on_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    writer = log_files.opened(path)
    for number in range(4):
        os.write(writer, f"line {number}\n".encode())
        log_files.rotate(path, most_bytes=5, kept=2)
    os.write(writer, b"new\n")
    os.close(writer)
    found = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert found == {"part.log": "new\n", "part.log.1": "line 3\n", "part.log.2": "line 2\n"}
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_log_with_room_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_text("short")
    log_files.rotate(path, most_bytes=100, kept=2)
    log_files.rotate(tmp_path / "none.log", most_bytes=1, kept=2)
    assert [file.name for file in tmp_path.iterdir()] == ["part.log"]


def test_the_tail_is_the_last_lines_that_say_something(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_text("\n".join(["old"] * 2000 + ["one", "", "two", ""]))
    assert log_files.tail(path, lines=2) == "one\ntwo"
    assert log_files.tail(tmp_path / "none.log") == ""
