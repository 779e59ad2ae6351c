"""A private certificate authority for the parts of the local cloud that speak TLS.

Azure's endpoints have certificates of public authorities. Here one authority is made per run, in
memory; clients trust it through ``SSL_CERT_FILE``, the way that keeps aiohttp's connection pool
working (``connection_verify`` on the SDK's clients builds a context for every request). Left out:
revocation, client certificates, and any lifetime beyond the run.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class LocalAuthority:
    """Issues server certificates that only those trust who were given its certificate."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="localcloud")

    def server_context(self, names: Sequence[str] = LOCAL_NAMES) -> ssl.SSLContext:
        """Returns a server-side context with a certificate for host names and addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._ca.issue_cert(*names).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Returns a client-side context that trusts this authority and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def write_certificate(self, path: Path) -> Path:
        """Writes the authority's certificate, as PEM, for ``SSL_CERT_FILE``.

        Returns:
            The path, for chaining.

        Raises:
            OSError: if the file can't be written.
        """
        self._ca.cert_pem.write_to_path(str(path))
        return path
