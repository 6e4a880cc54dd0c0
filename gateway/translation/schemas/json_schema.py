"""A tool's JSON Schema as the small part of it that Google accepts; nothing that it names is lost.

What Google knows is kept: type, description, properties, required, items, enum, nullable. What it does not
know is resolved (``$ref``, ``allOf``, alternatives), or told to the model in the description
("(minLength: 1)"), or, when it says nothing about the value, dropped. Some resolutions change what the model
will send: for those a Restoration says how to turn the arguments back into what the client's schema asks for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.translation.schemas.declarations import PLACEHOLDER_DESCRIPTION, Declarer, Schema
from gateway.translation.schemas.dialects import with_null_types
from gateway.translation.schemas.keywords import HINTED_KEYWORDS
from gateway.translation.schemas.reading import (
    MAX_DEPTH,
    BudgetSpent,
    Expansion,
    NodeBudget,
    Reader,
    SchemaTooLarge,
)
from gateway.translation.schemas.references import References
from gateway.translation.schemas.restoration import Restoration
from gateway.translation.schemas.schema_size import written_size
from gateway.translation.schemas.shapes import Facet, Located, Place, Shape, fingerprint
from gateway.translation.schemas.words import name_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "HINTED_KEYWORDS",
    "MAX_DEPTH",
    "MAX_NODES",
    "MOST_NODES_IN_ALL",
    "PLACEHOLDER",
    "PLACEHOLDER_SCHEMA",
    "BudgetSpent",
    "NodeBudget",
    "Restoration",
    "Schema",
    "parameters_schema",
    "response_schema",
]

# Of a tool without recursion no more than this is ever read; beyond it the rest is an open object.
MAX_NODES = 10_000
# Definitions that refer to each other could unfold without end: the first of these that is small enough.
EXPANSIONS = (
    Expansion(max_nodes=2_000, max_repeats=3),
    Expansion(max_nodes=2_000, max_repeats=1),
    Expansion(max_nodes=MAX_NODES, max_repeats=1, is_once_in_all=True, is_last=True),
)
MOST_NODES_IN_ALL = 20_000
"""Of all tools of a request together, besides what each of them has itself. That takes about a second. A
schema of 400 bytes may take half of it, and a request may have thousands."""

PLACEHOLDER = "reason_for_call"
PLACEHOLDER_SCHEMA = {"type": "STRING", "description": PLACEHOLDER_DESCRIPTION}

# Anthropic's rule, held to the names at the top only.
LEGAL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_NAME_LENGTH = 64


def parameters_schema(
    schema: object, *, with_placeholders: bool, budget: NodeBudget | None = None
) -> tuple[Schema, Restoration | None]:
    """The parameters of a function: always an OBJECT, whatever the schema was.

    ``with_placeholders`` is for Claude, whose VALIDATED mode refuses an object without properties, and which
    takes no other names of parameters than ``LEGAL_NAME``. ``budget`` is shared by all tools of a request.

    Raises BudgetSpent when that is strict.
    """
    placeholder = _free_name(schema) if with_placeholders else None
    budget = budget or NodeBudget(MOST_NODES_IN_ALL)
    declared, restoration, _ = _declare(schema, placeholder, budget, is_object=True)
    restoration.reads_text_as = frozenset()  # arguments are an object already
    if with_placeholders:
        _rename_illegal(declared, restoration)
    return declared, restoration if restoration.is_needed() else None


def response_schema(schema: object) -> Schema | None:
    """The schema of a structured answer; here any type may stand at the top.

    None when it would not let the model give every answer of the client's schema as it is: an answer
    of another type is a wrong answer, and what stood for it cannot be told afterwards.
    """
    budget = NodeBudget(MOST_NODES_IN_ALL)
    declared, _, loses = _declare(with_null_types(schema), None, budget, is_object=False)
    return None if loses else declared


def _declare(
    schema: object, placeholder: str | None, budget: NodeBudget, *, is_object: bool
) -> tuple[Schema, Restoration, bool]:
    """The flag: whether the declaration loses values, see ``Declarer.loses``."""
    references = References(schema)
    for expansion in EXPANSIONS[:-1]:
        if budget.left < expansion.max_nodes and not budget.is_strict:
            break
        try:
            return _declare_within(Reader(references, expansion, budget), schema, placeholder, is_object)
        except SchemaTooLarge:
            if not references.is_used:
                break
    last = _within(budget, schema, EXPANSIONS[-1])
    return _declare_within(Reader(references, last, budget), schema, placeholder, is_object)


def _within(budget: NodeBudget, schema: object, expansion: Expansion) -> Expansion:
    """Twice what the schema has itself is always read."""
    if budget.left >= expansion.max_nodes:
        return expansion
    most = max(budget.left, 2 * written_size(schema) + 10)
    return replace(expansion, max_nodes=min(most, expansion.max_nodes))


def _declare_within(
    reader: Reader, schema: object, placeholder: str | None, is_object: bool
) -> tuple[Schema, Restoration, bool]:
    shape = reader.shape_of(Located(schema, Place()))
    if is_object:
        shape = _as_parameters(shape)
    declarer = Declarer(reader, placeholder)
    declared, restoration = declarer.declare_shape(shape)
    return declared, restoration, declarer.loses()


def _as_parameters(shape: Shape) -> Shape:
    """Arguments are an object: other types at the top are dropped."""
    if "object" not in shape.facets or shape.facets["object"].values is not None:
        return Shape({"object": Facet()})
    return Shape(
        {"object": shape.facets["object"]},
        description=shape.description,
        alternatives=shape.alternatives,
        hints=shape.hints,
        told=shape.told,
        excluded=shape.excluded,
    )


# --- names ---


def _free_name(schema: object) -> str:
    """A placeholder that is nobody's name: no word of the schema contains it."""
    words = fingerprint(schema)
    name, number = PLACEHOLDER, 2
    while isinstance(words, bytes) and name.encode() in words:
        name, number = f"{PLACEHOLDER}_{number}", number + 1
    return name


def _rename_illegal(declared: Schema, restoration: Restoration) -> None:
    """``filter[id]`` is declared as ``filter_id_``, and the description says its name."""
    new_names = _legal_names(declared["properties"])
    for name, new_name in new_names.items():
        member = declared["properties"][name]
        member["description"] = f"{member.get('description', '')} (name: {name_in_words(name)})".lstrip()
        restoration.names[new_name] = name
    declared["properties"] = {
        new_names.get(name, name): member for name, member in declared["properties"].items()
    }
    if "required" in declared:
        declared["required"] = [new_names.get(name, name) for name in declared["required"]]


def _legal_names(names: Iterable[str]) -> dict[str, str]:
    """New names for those that are not legal, each another."""
    taken = {name for name in names if LEGAL_NAME.fullmatch(name)}
    numbers: dict[str, int] = {}
    legal_names: dict[str, str] = {}
    for name in names:
        if name in taken:
            continue
        base = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:MAX_NAME_LENGTH] or "_"
        legal = base
        while legal in taken:
            numbers[base] = numbers.get(base, 1) + 1
            suffix = f"_{numbers[base]}"
            legal = base[: MAX_NAME_LENGTH - len(suffix)] + suffix
        taken.add(legal)
        legal_names[name] = legal
    return legal_names
