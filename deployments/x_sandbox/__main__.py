"""`python -m deployments.x_sandbox`: prints its address as the only line on standard output."""

import argparse
import sys
from functools import partial
from pathlib import Path

from deployments.x_sandbox.ledger import LedgerBusy
from deployments.x_sandbox.server import Options, serve


def main() -> int:
    """Serve until a signal comes; 1 if the folder or the port belongs to somebody else."""
    try:
        serve(_options(), partial(print, flush=True))
    except LedgerBusy as busy:
        print(busy, file=sys.stderr)
        return 1
    return 0


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m deployments.x_sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one, which is printed")
    parser.add_argument("--folder", type=Path, required=True, help="where the ledger and the sandbox's key lie")
    parser.add_argument("--control-token-file", type=Path, required=True, help="made (0600) when it does not exist")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier sandbox left in the folder")
    return Options(**vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
