"""Writes our block types and one document of each to Prefect's server, for people to read in its UI.

A program of its own, `python -m deployments.local.block_documents`, because blocks need Prefect. Nothing of ours
reads the documents back: settings win, and `vivesphere doctor` names a document that drifted.
"""

import asyncio
import sys

from prefect.blocks.core import Block

from blocks.postgres.block import PostgresServer
from blocks.vault.block import VaultServer
from blocks.x.block import XApi
from config import loading
from config.places import Places

DOCUMENT = "vivesphere"


def documents(places: Places) -> list[Block]:
    """What the settings say now, one document a type."""
    postgres, vault = places.settings.postgres, places.settings.vault
    host, port = places.postgres
    return [
        PostgresServer(
            host=host, port=port, database=postgres.database, tls=postgres.tls if postgres.address else "disable"
        ),
        VaultServer(
            address=places.vault,
            kv_mount=vault.kv_mount,
            transit_mount=vault.transit_mount,
            database_mount=vault.database_mount,
            approle_mount=vault.approle_mount,
        ),
        XApi(base_url=places.x, sandbox=places.x_is_sandbox),
    ]


async def write(places: Places) -> None:
    """Register each type with its page, and overwrite the one document."""
    for document in documents(places):
        await type(document).aregister_type_and_schema()
        await document.asave(DOCUMENT, overwrite=True)


def main() -> int:
    """Write them to the server that the environment names."""
    asyncio.run(write(Places(loading.settings())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
