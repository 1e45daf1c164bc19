"""The TLS identity of the embedded vault: a CA of our own that can vouch for this machine's loopback and nothing else.

Bootstrap secrets, 0600 under secrets/, never in a backup: vault-ca.key and vault-server.key.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from config.places import Places
from config.settings import LOOPBACK
from deployments.local import layout

CA_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
CLOCKS_APART = timedelta(hours=1)


def server_certificate(places: Places) -> Path:
    """Certificate the vault shows."""
    return places.home / "vault" / "server.pem"


def server_key(places: Places) -> Path:
    """Private key of that certificate."""
    return places.secrets / "vault-server.key"


def ca_certificate(places: Places) -> Path:
    """Certificate clients check it against."""
    return places.home / "vault" / "ca.pem"


def ca_key(places: Places) -> Path:
    """Private key of the CA."""
    return places.secrets / "vault-ca.key"


def ensure(places: Places, now: datetime | None = None) -> bool:
    """Make or renew what is missing, damaged or near its end; whether the server must load a new certificate."""
    now = now or datetime.now(UTC)
    ca = _good(ca_certificate(places), ca_key(places), now)
    if ca is None:
        ca = _make_ca(places, now)
    server = _good(server_certificate(places), server_key(places), now)
    if server is not None and _signed_by(server, ca):
        return False
    _make_server(places, ca, now)
    return True


def _good(certificate: Path, key: Path, now: datetime) -> x509.Certificate | None:
    """The certificate, if it is of this key and lasts for a while; a crash may have left one without the other."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = _load_key(key)
    except (OSError, ValueError):
        return None
    lasts = found.not_valid_before_utc <= now < found.not_valid_after_utc - RENEW_BEFORE
    return found if lasts and found.public_key() == private.public_key() else None


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _make_ca(places: Places, now: datetime) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"ViveSphere vault CA {now:%Y-%m-%d %H:%M:%S}")  # a renewed CA is not mistaken for the old one
    only_here = x509.NameConstraints([x509.IPAddress(IPv4Network(f"{LOOPBACK}/32"))], None)
    certificate = (
        _builder(name, name, key, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(only_here, critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    layout.write_private(ca_key(places), _key_text(key))
    layout.write_private(ca_certificate(places), _certificate_text(certificate))
    return certificate


def _make_server(places: Places, ca: x509.Certificate, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name("ViveSphere vault"), ca.subject, key, now, LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        .sign(_load_key(ca_key(places)), hashes.SHA256())
    )
    layout.write_private(server_key(places), _key_text(key))
    layout.write_private(server_certificate(places), _certificate_text(certificate))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_APART)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    """For a CA signing certificates, for a server signing handshakes."""
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds a key of another kind")
    return key


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def _certificate_text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
