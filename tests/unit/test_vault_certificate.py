"""The vault's certificate: for loopback alone, renewed in time, whole again after a crash."""

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from cryptography import x509

from config.places import Places
from config.settings import Settings
from deployments.local import vault_certificate

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for folder in ("vault", "secrets"):
        (tmp_path / folder).mkdir()
    return Places(Settings(home=tmp_path))


def ca(places: Places) -> x509.Certificate:
    return x509.load_pem_x509_certificate(vault_certificate.ca_certificate(places).read_bytes())


def server(places: Places) -> x509.Certificate:
    return x509.load_pem_x509_certificate(vault_certificate.server_certificate(places).read_bytes())


def test_it_is_for_loopback_and_its_ca_can_vouch_for_nothing_else(places: Places) -> None:
    assert vault_certificate.ensure(places, NOW)
    names = server(places).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("127.0.0.1")]
    limits = ca(places).extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert limits.value.permitted_subtrees == [x509.IPAddress(IPv4Network("127.0.0.1/32"))]


def test_the_keys_are_for_their_owner_alone(places: Places) -> None:
    vault_certificate.ensure(places, NOW)
    for key in (vault_certificate.ca_key(places), vault_certificate.server_key(places)):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_good_one_stays(places: Places) -> None:
    vault_certificate.ensure(places, NOW)
    before = server(places)
    assert not vault_certificate.ensure(places, NOW + timedelta(days=300))
    assert server(places) == before


def test_near_its_end_it_is_renewed_under_the_same_ca(places: Places) -> None:
    vault_certificate.ensure(places, NOW)
    before, vouches = server(places), ca(places)
    assert vault_certificate.ensure(places, NOW + timedelta(days=340))
    assert server(places) != before
    assert ca(places) == vouches


def test_near_the_end_of_the_ca_both_are_renewed(places: Places) -> None:
    vault_certificate.ensure(places, NOW)
    before = ca(places)
    assert vault_certificate.ensure(places, NOW + timedelta(days=3640))
    assert ca(places) != before
    server(places).verify_directly_issued_by(ca(places))


@pytest.mark.parametrize(
    "lost", ["vault/ca.pem", "vault/server.pem", "secrets/vault-ca.key", "secrets/vault-server.key"]
)
@pytest.mark.parametrize("how", ["missing", "empty", "another's"])
def test_a_crash_between_two_files_heals(places: Places, lost: str, how: str, tmp_path: Path) -> None:
    vault_certificate.ensure(places, NOW)
    old = (places.home / lost).read_bytes()
    (places.home / lost).unlink()
    if how == "empty":
        (places.home / lost).touch()
    if how == "another's":
        vault_certificate.ensure(places, NOW)
        (places.home / lost).write_bytes(old)
    vault_certificate.ensure(places, NOW)
    server(places).verify_directly_issued_by(ca(places))
    assert not vault_certificate.ensure(places, NOW)
