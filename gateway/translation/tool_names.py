"""The client's tool names and the names the model sees, both ways.

Google takes ``[A-Za-z_][A-Za-z0-9_.:-]{0,63}``, Claude only ``[A-Za-z0-9_-]``: every family gets names that
satisfy both. Declarations, calls, results and the forced tool all go through the same map, and a call in
the answer comes back under the client's own name.
"""

from __future__ import annotations

import re

MAX_NAME_LENGTH = 64
# Gemini treats its tools as members of a module of this name, and sometimes calls them by it.
_NAMESPACE = re.compile(r"default_api[:.](?=.)")

_UPSTREAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_LEGAL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_LEGAL_START = re.compile(r"[A-Za-z_]")


class ToolNames:
    __slots__ = ("_client_by_upstream", "_next_numbers", "_upstream_by_client")

    def __init__(self) -> None:
        self._upstream_by_client: dict[str, str] = {}
        self._client_by_upstream: dict[str, str] = {}
        self._next_numbers: dict[str, int] = {}

    def copy(self) -> ToolNames:
        names = ToolNames()
        names._upstream_by_client = {**self._upstream_by_client}
        names._client_by_upstream = {**self._client_by_upstream}
        names._next_numbers = {**self._next_numbers}
        return names

    def __len__(self) -> int:
        return len(self._upstream_by_client)

    def __contains__(self, name: str) -> bool:
        return name in self._upstream_by_client

    def has_upstream(self, name: str) -> bool:
        """Return True when a tool of this name is declared upstream."""
        return name in self._client_by_upstream

    def to_upstream(self, name: str) -> str:
        """Return the upstream name, adding a name not seen before to the map."""
        return self._upstream_by_client[name] if name in self._upstream_by_client else self._add(name)

    def to_client(self, name: str) -> str:
        """Return the client's name. A name the model invented stays as it is: the client answers that there
        is no such tool."""
        return self._client_by_upstream.get(name, name)

    def added_after(self, earlier: ToolNames) -> list[str]:
        """Return the upstream names added to a copy since it was taken from ``earlier``."""
        known = earlier._client_by_upstream
        return [name for name in self._client_by_upstream if name not in known]

    def _add(self, name: str) -> str:
        upstream = unique(legal_name(name), self._client_by_upstream, self._next_numbers)
        self._upstream_by_client[name] = upstream
        self._client_by_upstream[upstream] = name
        return upstream


def without_namespace(name: str) -> str:
    """Return ``Read`` for ``default_api:Read``. No client can declare a tool with a colon or a dot in its
    name."""
    if "default_api" not in name:
        return name
    found = _NAMESPACE.match(name)
    return name[found.end() :] if found else name


def legal_name(name: str) -> str:
    if _UPSTREAM_NAME.fullmatch(name):
        return name
    name = _ILLEGAL.sub("_", name)
    if not _LEGAL_START.match(name):
        name = "_" + name
    return name[:MAX_NAME_LENGTH]


def unique(name: str, taken: dict[str, str], next_numbers: dict[str, int]) -> str:
    """Return ``name``, or ``name_2``, ``name_3`` ... within the length Google allows.

    ``next_numbers`` remembers where the search for each name ended, so that a thousand equal names take
    linear time.
    """
    candidate, number = name, next_numbers.get(name, 2)
    while candidate in taken:
        suffix = f"_{number}"
        candidate = name[: MAX_NAME_LENGTH - len(suffix)] + suffix
        number += 1
    next_numbers[name] = number
    return candidate


class ToolUseIds:
    """Ids as the upstream takes them: ``[a-zA-Z0-9_-]``, at most 64 characters, each used once.

    An id belongs to one assistant turn; the same id in a later turn is another call and gets another id.
    """

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self._next_numbers: dict[str, int] = {}

    def copy(self) -> ToolUseIds:
        ids = ToolUseIds()
        ids._taken, ids._next_numbers = {**self._taken}, {**self._next_numbers}
        return ids

    def to_upstream(self, tool_use_id: str) -> str:
        if tool_use_id not in self._taken and _LEGAL_ID.fullmatch(tool_use_id):
            self._taken[tool_use_id] = tool_use_id
            return tool_use_id
        legal = _ILLEGAL.sub("_", tool_use_id)[:MAX_NAME_LENGTH] or "_"
        upstream = unique(legal, self._taken, self._next_numbers)
        self._taken[upstream] = tool_use_id
        return upstream
