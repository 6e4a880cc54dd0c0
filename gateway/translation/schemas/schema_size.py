"""The size of a schema once its references are put in place.

Definitions that refer to each other twice double at every step: thirty of them are a billion schemas, and
validating a value against them would block the gateway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator


def unfolded_size(schema: Any) -> int:
    """Count objects and lists, each as often as local references lead to it; a reference to itself counts
    once.

    Raises RecursionError for what is nested too deeply.
    """
    return _Counter(schema).size_of(schema)


def objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects as written, data among them, references not followed."""
    to_visit = [schema]
    while to_visit:
        visited = to_visit.pop()
        if isinstance(visited, list):
            to_visit += visited
        elif isinstance(visited, dict):
            yield visited
            to_visit += visited.values()


class _Counter:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._sizes: dict[str, int] = {}  # by reference

    def size_of(self, value: Any) -> int:
        if isinstance(value, list):
            return 1 + sum(map(self.size_of, value))
        if not isinstance(value, dict):
            return 0
        size = 1 + sum(map(self.size_of, value.values()))
        ref = value.get("$ref")
        return size + self._size_behind(ref) if isinstance(ref, str) else size

    def _size_behind(self, ref: str) -> int:
        if ref not in self._sizes:
            self._sizes[ref] = 1  # while it is being counted
            self._sizes[ref] = self.size_of(self._look_up(ref))
        return self._sizes[ref]

    def _look_up(self, ref: str) -> Any:
        """Resolve a JSON pointer; None for other references, whose targets are counted in place."""
        if not ref.startswith("#/"):
            return None
        target = self._root
        for step in unquote(ref[2:]).split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and step.isdecimal() and int(step) < len(target):
                target = target[int(step)]
            else:
                target = target.get(step) if isinstance(target, dict) else None
        return target
