"""`python -m deployments.gateway`: the gateway as a process of its own."""

import sys
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import uvicorn

from config import loading, logs
from config.loading import APP_ROOT, SettingsError
from config.places import NotStartedError, Places
from config.settings import Gateway
from deployments.gateway.app import create_app

# Open requests get this long at the end; posting does not depend on them.
STOP_SECONDS = 5


def main() -> int:
    """Serve until told to stop."""
    try:
        places = Places(loading.settings())
        wanted = places.settings.gateway
        if wanted.port is None:
            raise NotStartedError("the gateway")
        problem = objection(wanted)
        if problem:
            raise SettingsError([problem])
    except (SettingsError, NotStartedError) as error:
        print(error, file=sys.stderr)
        return 2
    logs.configure("gateway", places)
    uvicorn.run(
        create_app(places),
        host=wanted.host,
        port=wanted.port,
        loop="uvloop" if find_spec("uvloop") else "asyncio",
        # An access log would hold addresses, and with them tokens and codes.
        access_log=False,
        ssl_certfile=_file(wanted.tls_certificate_file),
        ssl_keyfile=_file(wanted.tls_key_file),
        # Else who calls, and over what, is what the connection says.
        proxy_headers=bool(wanted.trusted_proxies),
        forwarded_allow_ips=wanted.trusted_proxies,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return 0


def objection(wanted: Gateway) -> str | None:
    """Why these settings would let passwords go over a network in the clear, or no TLS come about; None if not."""
    if (wanted.tls_certificate_file is None) != (wanted.tls_key_file is None):
        return "gateway: tls_certificate_file and tls_key_file belong together: set both, or neither"
    try:
        near = wanted.host == "localhost" or ip_address(wanted.host).is_loopback
    except ValueError:
        near = False
    if not near and wanted.tls_certificate_file is None and not wanted.trusted_proxies:
        return (
            f"gateway.host {wanted.host} is not loopback: set gateway.tls_certificate_file and gateway.tls_key_file, "
            "or name the proxy that speaks TLS in front in gateway.trusted_proxies"
        )
    return None


def _file(path: Path | None) -> str | None:
    return str(APP_ROOT / path) if path else None


if __name__ == "__main__":
    sys.exit(main())
