"""The public halves of our signing keys, where programs look for them."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from deployments.gateway.sign_in import Running

router = APIRouter(tags=["auth"])


@router.get("/.well-known/jwks.json")
async def jwks(running: Running) -> Mapping[str, Any]:
    """A JSON Web Key Set (RFC 7517): by it other programs verify our access tokens."""
    return await running.signer.public_keys()
