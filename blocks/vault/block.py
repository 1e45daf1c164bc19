"""What Prefect's pages show of the vault."""

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl


class VaultServer(Block):
    """Where the vault is; `up` writes it from the settings, nothing of ours reads it back, and no secret is in it."""

    _block_type_name = "Vault Server"
    _block_type_slug = "vivesphere-vault-server"
    _description = "The OpenBao or Vault that holds every credential of the bots; address and mounts, no secret."
    _documentation_url = HttpUrl("https://openbao.org/docs/")

    address: str = Field(description="Address of the vault, with https://.")
    kv_mount: str = Field(description="Mount of the KV version 2 engine.")
    transit_mount: str = Field(description="Mount of the transit engine.")
    database_mount: str = Field(description="Mount of the database engine.")
    approle_mount: str = Field(description="Mount of the AppRole sign-in.")
