"""Values whose text shows none of their content, because that is a secret or a part of a prompt: a traceback,
a log line or a debugger may show it."""

from __future__ import annotations

from msgspec import Struct


class Concealed(Struct):
    """Base class of such values."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"
