"""Values whose repr shows none of their content, which is a secret or a part of a prompt, so that it gets
into no traceback and no log line."""

from __future__ import annotations

from msgspec import Struct


class Concealed(Struct):
    """Base class of structs whose repr is only the name of their class."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"
