"""Request bodies in pieces. The members of a large request are JSON already; joining them would block the
event loop."""

from __future__ import annotations

from typing import Any

import orjson


def has_encoded_members(members: dict[str, Any]) -> bool:
    """Return True when members are JSON already, as those of a large request are."""
    for name in members:  # noqa: SIM110 -- any() would take a call a member
        if type(members[name]) is bytes:
            return True
    return False


def object_in_pieces(members: dict[str, Any]) -> list[bytes]:
    """Encode an object whose members may be JSON already, as bytes. The result is one piece when none is."""
    if not has_encoded_members(members):
        return [orjson.dumps(members)]
    pieces: list[bytes] = []
    before = b"{"
    for name, member in members.items():
        pieces.append(b"%s%s:" % (before, orjson.dumps(name)))
        pieces.append(member if isinstance(member, bytes) else orjson.dumps(member))
        before = b","
    return [*pieces, b"}"]
