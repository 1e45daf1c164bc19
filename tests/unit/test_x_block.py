"""The block holds addresses and names, and no field that could be a secret."""

import pytest
from pydantic import SecretBytes, SecretStr, ValidationError

from blocks.x.block import XApi


def test_the_block_holds_an_address_and_a_name() -> None:
    block = XApi(base_url="https://api.x.com", sandbox=False)
    assert (block.base_url, block.sandbox) == ("https://api.x.com", False)
    assert block.get_block_type_slug() == "x-api"


def test_the_block_has_no_place_for_a_secret() -> None:
    fields = {name: field.annotation for name, field in XApi.model_fields.items()}
    assert set(fields) == {"base_url", "sandbox"}
    assert not {SecretStr, SecretBytes} & set(fields.values())


@pytest.mark.parametrize("address", ["", "api.x.com", "file:///etc/passwd"])
def test_an_address_is_one_of_the_web(address: str) -> None:
    with pytest.raises(ValidationError):
        XApi(base_url=address, sandbox=False)
