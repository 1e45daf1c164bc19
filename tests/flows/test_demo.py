"""The demo, as `make demo` runs it."""

import subprocess
import sys

from tests.posting_stack import PostingStack


def test_the_demo_publishes_all_its_posts_and_xs_ledger_agrees(stack: PostingStack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployments.local.demo"], capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "30 posts: 30 published" in done.stdout
    assert "agrees with Postgres" in done.stdout


def test_the_demo_posts_to_no_real_account() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployments.local.demo"],
        env={"PATH": "", "VIVESPHERE_X__BASE_URL": "https://api.x.com"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "the demo posts to the X sandbox only" in done.stdout
