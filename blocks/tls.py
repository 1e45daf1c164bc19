"""What we check a server's certificate by."""

import ssl
from pathlib import Path


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """The given CA, or those of the system."""
    # Not ssl.create_default_context: it obeys SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
        return context
    built_in = ssl.get_default_verify_paths()
    cafile = built_in.openssl_cafile if Path(built_in.openssl_cafile).is_file() else None
    capath = built_in.openssl_capath if Path(built_in.openssl_capath).is_dir() else None
    if cafile or capath:
        context.load_verify_locations(cafile=cafile, capath=capath)
    else:
        context.load_default_certs()
    return context
