"""The environments of our processes, built from nothing: what a person has in theirs reaches no part of the stack."""

import os
import sys
from pathlib import Path

from config.loading import PREFIX
from config.places import Places

# Carried by every process of a stack, flow runs too, and by nothing else: how `down` and `up` find what is left over.
MARKER = "PART_OF_VIVESPHERE"
# A test run that measures coverage measures its child processes too.
PASSED_ON = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


def marker(home: Path) -> str:
    """Value of MARKER for the stack of this home."""
    return str(home.resolve())


def foreign(places: Places) -> dict[str, str]:
    """For programs that are not ours: they see no setting of ours."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "HOME": str(places.home),  # no .netrc, .pgpass or profile of the person who starts the stack
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "DO_NOT_TRACK": "1",
        "OPENBLAS_NUM_THREADS": "1",  # of small matrices: threads that wait for each other take twenty times as long
        MARKER: marker(places.home),
    }


def own(places: Places, role: str | None = None) -> dict[str, str]:
    """For our programs: the settings given in this process's environment, and the vault role to sign in with."""
    given = {name: value for name, value in os.environ.items() if name.startswith(PREFIX) or name in PASSED_ON}
    chosen = {f"{PREFIX}VAULT__ROLE": role} if role else {}
    return {**foreign(places), **given, f"{PREFIX}HOME": str(places.home), **chosen}


def prefect_client(places: Places, folder: Path) -> dict[str, str]:
    """What lets a process talk to Prefect's server; `folder` is its own PREFECT_HOME."""
    secret = {"PREFECT_API_AUTH_STRING": auth} if (auth := prefect_auth(places)) else {}
    return {
        "PREFECT_API_URL": places.prefect,
        "PREFECT_HOME": str(folder),
        "PREFECT_CLIENT_METRICS_ENABLED": "false",  # would listen on 0.0.0.0
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
        **secret,
    }


def prefect_auth(places: Places) -> str | None:
    """Prefect's auth string; None for a server of somebody else's that has none."""
    path = places.prefect_auth
    return path.read_text(encoding="utf-8").strip() if path else None
