"""The X API as Prefect's UI shows it."""

from prefect.blocks.core import Block
from pydantic import Field


class XApi(Block):
    """Where X is; credentials are in the vault, never in a block."""

    _block_type_name = "X API"
    _block_type_slug = "x-api"
    _description = "Address of the X API, or of the sandbox that stands in for it. Holds no credential."
    _documentation_url = "https://docs.x.com/x-api/introduction"  # type: ignore[assignment]

    base_url: str = Field(pattern=r"^https?://", description="Base address, without a path.")
    sandbox: bool = Field(description="True while the X sandbox stands in for X, and no real account can be touched.")
