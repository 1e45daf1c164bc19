"""The block that Prefect shows."""

from blocks.vault.block import VaultServer


def test_it_holds_addresses_and_no_secret() -> None:
    assert set(VaultServer.model_fields) == {"address", "kv_mount", "transit_mount", "database_mount", "approle_mount"}


def test_it_describes_itself_without_a_picture_from_the_net() -> None:
    assert VaultServer.get_description()
    assert VaultServer._documentation_url
    assert VaultServer._logo_url is None
