"""What Prefect's pages show of the database."""

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl


class PostgresServer(Block):
    """Where the database is; `up` writes it from the settings, nothing of ours reads it, no secret is in it."""

    _block_type_name = "Postgres Server"
    _block_type_slug = "vivesphere-postgres-server"
    _description = "The Postgres that holds all state of the bots; address and name, no password."
    _documentation_url = HttpUrl("https://www.postgresql.org/docs/")

    host: str = Field(description="Host of the server.")
    port: int = Field(description="Port of the server.")
    database: str = Field(description="Database that holds our state.")
    tls: str = Field(description="libpq's sslmode.")
