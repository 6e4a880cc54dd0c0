"""Targets of ``$ref``: a URI reference, resolved inside one schema document.

Anchors, embedded resources (``$id``) and JSON pointers (RFC 6901), with the rules of drafts 4 to 2020-12
together, since tools mix them. Nothing is ever fetched. The ``referencing`` package is stricter than what
clients send: it raises on a list in ``items`` or on ``"properties": null`` anywhere in the document.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urljoin

REFERENCE_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")
_INDEX = re.compile("0|[1-9][0-9]{0,8}")
# Data, not schemas: an "$id" or "$anchor" in there is ignored.
_DATA_KEYWORDS = frozenset({"const", "default", "enum", "example", "examples"})
_ANCHOR_KEYWORDS = ("$anchor", "$dynamicAnchor")
_MOVED_DEFINITIONS = {"$defs": "definitions", "definitions": "$defs"}


class References:
    """The targets of one document; ``lookup`` never raises."""

    def __init__(self, root: object) -> None:
        self._resources: dict[str, Any] = {"": root}
        self._anchors: dict[tuple[str, str], tuple[Any, str]] = {}
        self.is_used = False

    def lookup(self, ref: str, base: str) -> tuple[Any, str] | None:
        """Return the target and the base URI that applies there; None when there is no such target."""
        if not self.is_used:
            self.is_used = True
            self._index(self._resources[""])
        address, _, fragment = resolve_uri(base, ref).partition("#")
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            return self._anchors.get((address, fragment))
        if address not in self._resources:
            return None
        root = self._resources[address]
        steps = [step.replace("~1", "/").replace("~0", "~") for step in fragment.split("/")[1:]]
        return _walk(root, steps, address) or _walk(root, _in_moved_definitions(steps), address)

    def _index(self, root: object) -> None:
        to_visit: list[tuple[Any, str]] = [(root, "")]
        while to_visit:
            visited, base = to_visit.pop()
            if isinstance(visited, list):
                to_visit += [(member, base) for member in visited]
            elif isinstance(visited, dict):
                base = self._index_names(visited, base)
                to_visit += [
                    (member, base) for keyword, member in visited.items() if keyword not in _DATA_KEYWORDS
                ]

    def _index_names(self, schema: dict[str, Any], base: str) -> str:
        identifier = base_of(schema, base)
        if identifier != base:
            base = identifier
            self._resources.setdefault(base, schema)
        names = [schema.get(keyword) for keyword in _ANCHOR_KEYWORDS]
        if isinstance(schema.get("$id"), str) and schema["$id"].startswith("#"):
            names.append(schema["$id"][1:])  # how drafts 6 and 7 wrote an anchor
        for name in names:
            if isinstance(name, str):
                self._anchors.setdefault((base, name), (schema, base))
        return base


def base_of(schema: dict[str, Any], base: str) -> str:
    """Return the base URI inside a schema: its own ``$id``, when it has one."""
    identifier = schema.get("$id")
    if not isinstance(identifier, str) or identifier.startswith("#"):
        return base
    return resolve_uri(base, identifier).partition("#")[0]


def resolve_uri(base: str, reference: str) -> str:
    """Resolve a reference as ``urljoin`` does, which drops fragments of URNs and raises on brackets that are
    no IPv6 address."""
    if reference.startswith("#"):
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


def name_of(ref: str) -> str:
    """Return the last step of a reference, as a name for the model."""
    return unquote(ref.rstrip("/#").rsplit("/", 1)[-1]).lstrip("#") or "the whole schema"


def _walk(target: Any, steps: list[str], base: str) -> tuple[Any, str] | None:
    for step in steps:
        if isinstance(target, dict) and step in target:
            target = target[step]
        elif isinstance(target, list) and _INDEX.fullmatch(step) and int(step) < len(target):
            target = target[int(step)]
        else:
            return None
        base = base_of(target, base) if isinstance(target, dict) else base
    return (target, base) if isinstance(target, (dict, bool)) else None


def _in_moved_definitions(steps: list[str]) -> list[str]:
    """Return the steps with ``definitions`` and ``$defs`` exchanged: generators rename one and keep the
    references."""
    return [_MOVED_DEFINITIONS.get(step, step) if index == 0 else step for index, step in enumerate(steps)]
