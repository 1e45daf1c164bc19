"""Prometheus' own judge of figures and rules, where it is installed."""

import shutil
import subprocess

import pytest


def promtool(*arguments: str, given: str = "") -> None:
    """Fail with what it says; where there is none, say aloud that it was not asked."""
    program = shutil.which("promtool")
    if program is None:
        print(f"promtool {' '.join(arguments[:2])}: NOT TRIED, it is not installed")
        return
    done = subprocess.run([program, *arguments], input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0 or "error" in done.stderr:
        pytest.fail(f"promtool {' '.join(arguments)}: {done.stdout}{done.stderr}")
