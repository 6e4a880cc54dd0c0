"""Thought signatures: proof that a thought was thought here, and by which family of models.

Google's are opaque and so are these, but they need no memory: each holds a digest of what it signs and
a MAC under the emulator's secret, so a signature survives a restart with the same secret.

    base64( version (1 byte) | digest of family and text (16 bytes) | HMAC-SHA256 of the digest )
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy_site.emulator.models import Family

# Google's own sentinel for a call from elsewhere, whose signature is not checked.
SENTINEL = "skip_thought_signature_validator"

_VERSION = b"\x12"
_DIGEST_BYTES = 16


class Signatures:
    """Issues and verifies signatures. Emulators with different ``secret`` do not accept each other's."""

    def __init__(self, secret: str = "emulator-signing-secret") -> None:  # noqa: S107 -- guards nothing
        self._secret = secret.encode()

    def issue(self, family: Family, text: str) -> str:
        digest = self._digest(family, text)
        return base64.b64encode(_VERSION + digest + self._mac(family, digest)).decode()

    def is_genuine(self, family: Family, signature: str) -> bool:
        """Return True when the signature was issued here for this family, whatever text it signs."""
        digest, mac = self._split(signature)
        return hmac.compare_digest(mac, self._mac(family, digest))

    def is_genuine_for(self, family: Family, text: str, signature: str) -> bool:
        digest, _ = self._split(signature)
        return digest == self._digest(family, text) and self.is_genuine(family, signature)

    def _digest(self, family: Family, text: str) -> bytes:
        return hashlib.sha256(f"{family}\0{text}".encode(errors="surrogatepass")).digest()[:_DIGEST_BYTES]

    def _mac(self, family: Family, digest: bytes) -> bytes:
        return hmac.digest(self._secret, family.encode() + digest, "sha256")

    @staticmethod
    def _split(signature: str) -> tuple[bytes, bytes]:
        # Google's own SDK sends bytes back in the URL-safe alphabet.
        signature = signature.replace("+", "-").replace("/", "_")
        try:
            raw = base64.b64decode(signature, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return b"", b""
        if raw[:1] != _VERSION:
            return b"", b""
        return raw[1 : 1 + _DIGEST_BYTES], raw[1 + _DIGEST_BYTES :]
