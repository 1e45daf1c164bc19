"""The app that bots sign in through on the X sandbox: made there, then handed to the gateway like any other."""

import ssl

import httpx

from config.places import Places
from deployments.local import programs

NAME = "rehearsal"
TIMEOUT_SECONDS = 30.0


def ensure(places: Places) -> None:
    """Make the app, or find it; its secret goes through the gateway to the vault, and nowhere else."""
    callback = f"{places.front_door}/oauth/callback"
    control = programs.sandbox_token_file(places).read_text(encoding="utf-8").strip()
    wanted = {"name": NAME, "redirect_uris": [callback], "confidential": True}
    made = _post(f"{places.x}/sandbox/apps", control, wanted, True)
    key = (places.secrets / "cli.key").read_text(encoding="utf-8").strip()
    _post(
        f"{places.gateway}/api/v1/apps",
        key,
        {
            "name": NAME,
            "use_case": "Rehearsal on the X sandbox",
            "stage": "development",
            "client_id": made["client_id"],
            "client_secret": made["client_secret"],
            "redirect_uri": callback,
        },
        places.gateway_trust(),
    )


def _post(url: str, token: str, body: dict[str, object], trust: ssl.SSLContext | bool) -> dict[str, str]:
    bearer = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(url, json=body, headers=bearer, timeout=TIMEOUT_SECONDS, trust_env=False, verify=trust)
    answer.raise_for_status()
    found: dict[str, str] = answer.json()
    return found
