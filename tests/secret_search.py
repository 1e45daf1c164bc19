"""Looks for known secrets in files, in every form in which a program may have written them down."""

import base64
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

# A shorter one would be found by chance.
LEAST_CHARACTERS = 16


@dataclass(frozen=True)
class Secret:
    """A secret that is known, and what to call it."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class Finding:
    """A file, and the secret that stands in it."""

    path: Path
    name: str


def forms(value: str) -> Iterator[str]:
    """The text itself, in an address, in hexadecimal, and inside anything that was turned into base64."""
    raw = value.encode()
    yield value
    yield quote(value, safe="")
    yield raw.hex()
    yield raw.hex().upper()
    for before in range(3):
        # Characters that share bits with what stands before or after depend on it.
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + raw).decode()[first:last]


def search(wanted: Sequence[Secret], *roots: Path) -> set[Finding]:
    """Every file under the roots that holds one of the secrets.

    grep looks for all of them at once, in a gigabyte as well; they reach it by its stdin.
    """
    short = [secret.name for secret in wanted if len(secret.value) < LEAST_CHARACTERS]
    assert not short, f"too short to be looked for: {short}"
    names: dict[bytes, str] = {form.encode(): secret.name for secret in wanted for form in forms(secret.value)}
    # Files come and go while a stack runs, so grep's complaints say nothing; what counts is that it finds.
    done = subprocess.run(
        ["grep", "-raoFHsZ", "-D", "skip", "-f", "-", *map(str, roots)],
        input=b"\n".join(names),
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    lines = [line.split(b"\0", 1) for line in done.stdout.splitlines()]
    return {Finding(Path(path.decode()), names[match]) for path, match in lines}


def plant(folder: Path) -> tuple[Secret, set[Finding]]:
    """A secret in files that `search` must find in each of its forms."""
    folder.mkdir()
    secret = Secret("planted", f"s+{secrets.token_urlsafe(24)}/s")
    written = {
        "raw": f"before{secret.value}after",
        "address": f"https://example.org/?a={quote(secret.value, safe='')}&b=1",
        "bytea": f"\\\\x00{secret.value.encode().hex()}ff",
        **{
            f"header-{len(user)}": "Basic " + base64.b64encode(f"{user}:{secret.value}\n".encode()).decode()
            for user in ("a", "ab", "abc")
        },
    }
    for name, text in written.items():
        (folder / name).write_bytes(b"\0\xff" + text.encode() + b"\0")
    return secret, {Finding(folder / name, secret.name) for name in written}
