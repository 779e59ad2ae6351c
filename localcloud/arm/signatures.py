"""Signed operation URLs, as ARM gives them out now: some 3 KB, with parameters t, c, s and h.

Public recordings show them with a time, a certificate, a signature, and a hash; each one's own
form is a guess from its length. That the hash ties the URL to whoever began the operation is what
users were refused with ("Only the original caller…", MicrosoftDocs/azure-docs#119301). What ARM
answers to a URL without these parameters is not known: here it is refused alike, with 403, which is
assumed. Left out: the end of a signature's life.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

from localcloud.arm import errors
from localcloud.arm.clock import Ticks

_CERTIFICATE_BYTES: Final = 1900
_SIGNATURE_BYTES: Final = 256


class UrlSigner:
    """Signs the URLs of operations, and knows its own again."""

    def __init__(self) -> None:
        """Makes a key that goes with the run."""
        self._key = secrets.token_bytes(32)
        self._certificate = _text(secrets.token_bytes(_CERTIFICATE_BYTES))

    def sign(self, operation_name: str, principal_id: str, at: Ticks) -> Mapping[str, str]:
        """Returns the query parameters that make an operation's URL valid for that principal."""
        time, content = str(at), _hash(operation_name, principal_id)
        return {
            "t": time,
            "c": self._certificate,
            "s": self._signature(operation_name, time, content),
            "h": content,
        }

    def check(self, operation_name: str, principal_id: str, query: Mapping[str, str]) -> None:
        """Lets a URL pass that was signed here for that principal.

        Raises:
            ArmError: 403.
        """
        content = _hash(operation_name, principal_id)
        signature = self._signature(operation_name, query.get("t", ""), content)
        if not (
            hmac.compare_digest(query.get("h", "").encode(), content.encode())
            and hmac.compare_digest(query.get("s", "").encode(), signature.encode())
        ):
            raise errors.not_the_original_caller()

    def _signature(self, operation_name: str, time: str, content: str) -> str:
        signed = f"{operation_name.lower()} {time} {content}".encode()
        mac = hmac.digest(self._key, signed, "sha512")
        return _text((mac * (_SIGNATURE_BYTES // len(mac)))[:_SIGNATURE_BYTES])


def _hash(operation_name: str, principal_id: str) -> str:
    said = f"{operation_name.lower()} {principal_id.lower()}"
    return _text(hashlib.sha256(said.encode()).digest())


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
