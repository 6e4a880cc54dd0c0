"""Random ids that must be unique but not secret, made without a system call for each.

Their generator is seeded by the system once for each process.
"""

from __future__ import annotations

import os
import random

_generator = random.Random(os.urandom(64))  # noqa: S311  # nothing here is secret
os.register_at_fork(after_in_child=lambda: _generator.seed(os.urandom(64)))

VARIANT = 0b10 << 62
VERSION = 4 << 76
FIXED = (0b11 << 62) | (0xF << 76)


def random_hex(size: int) -> str:
    """Return `size` random bytes in hexadecimal digits."""
    return _generator.getrandbits(8 * size).to_bytes(size, "big").hex()


def random_uuid() -> str:
    """Return a UUID of version 4 (RFC 9562, 5.4)."""
    digits = (_generator.getrandbits(128) & ~FIXED | VARIANT | VERSION).to_bytes(16, "big").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
