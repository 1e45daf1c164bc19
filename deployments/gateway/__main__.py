"""`python -m deployments.gateway`: the gateway as a process of its own."""

import sys
from importlib.util import find_spec

import uvicorn

from config import loading, logs
from config.loading import SettingsError
from config.places import NotStartedError, Places
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
        log_config=None,
        server_header=False,
        # Nobody stands in front of us here: who calls, and over what, is what the connection says.
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
