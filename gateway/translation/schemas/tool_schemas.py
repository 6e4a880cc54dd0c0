"""A tool's JSON Schema as the subset that Google accepts, without losing a name.

Google's fields are kept: type, description, properties, required, items, enum, nullable. Other keywords are
resolved (``$ref``, ``allOf``, alternatives), or described to the model ("(minLength: 1)"), or, when they do
not constrain the value, dropped. Some resolutions change what the model sends: for those a Restoration turns
the arguments back into what the client's schema asks for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.translation.schemas.declarations import Declarer, Schema
from gateway.translation.schemas.older_drafts import with_null_types
from gateway.translation.schemas.reading import Expansion, NodeBudget, Reader, SchemaTooLarge
from gateway.translation.schemas.references import References
from gateway.translation.schemas.schema_size import objects_in
from gateway.translation.schemas.shapes import Facet, Located, SchemaPosition, Shape, fingerprint
from gateway.translation.schemas.words import name_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.translation.schemas.restoration import Restoration

# Most schemas read of a tool without recursion; the rest is declared as an open object.
MAX_NODES = 10_000
# Definitions that refer to each other could unfold without end: the first expansion with a small enough
# result is used.
EXPANSIONS = (
    Expansion(max_nodes=2_000, max_repeats=3),
    Expansion(max_nodes=2_000, max_repeats=1),
    Expansion(max_nodes=MAX_NODES, max_repeats=1, is_once_in_all=True, is_last=True),
)
MOST_NODES_IN_ALL = 20_000
"""The most nodes for all tools of a request together, besides those that each tool may have itself. They take
about a second. A schema of 400 bytes may take half of it, and a request may have thousands."""

PLACEHOLDER = "reason_for_call"

# Anthropic's rule, which applies to top-level names only.
LEGAL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_NAME_LENGTH = 64


def parameters_schema(
    schema: object, *, with_placeholders: bool, budget: NodeBudget | None = None
) -> tuple[Schema, Restoration | None]:
    """Return the parameters of a function: always an OBJECT, whatever the schema was.

    ``with_placeholders`` is for Claude, whose VALIDATED mode refuses an object without properties, and which
    accepts no other parameter names than ``LEGAL_NAME``. ``budget`` is shared by all tools of a request.

    Raises BudgetSpent when the budget is strict.
    """
    placeholder = _free_name(schema) if with_placeholders else None
    budget = budget or NodeBudget(MOST_NODES_IN_ALL)
    declared, restoration, _ = _declare(schema, placeholder, budget, is_object=True)
    restoration.reads_text_as = frozenset()  # arguments are an object already
    if with_placeholders:
        _rename_illegal(declared, restoration)
    return declared, restoration if restoration.is_needed() else None


def response_schema(schema: object) -> Schema | None:
    """Return the schema of a structured answer, of any type at the top.

    None when some valid answer could not be given as it is: an answer of another type is wrong, and the value
    it stood for cannot be recovered.
    """
    budget = NodeBudget(MOST_NODES_IN_ALL)
    declared, _, loses = _declare(with_null_types(schema), None, budget, is_object=False)
    return None if loses else declared


def _declare(
    schema: object, placeholder: str | None, budget: NodeBudget, *, is_object: bool
) -> tuple[Schema, Restoration, bool]:
    """Declare a schema. The flag tells whether the declaration loses values, see ``Declarer.loses``."""
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
    """Limit the expansion to the budget, but to no less than twice the schema's own size."""
    if budget.left >= expansion.max_nodes:
        return expansion
    written = sum(1 for _ in objects_in(schema))
    most = max(budget.left, 2 * written + 10)
    return replace(expansion, max_nodes=min(most, expansion.max_nodes))


def _declare_within(
    reader: Reader, schema: object, placeholder: str | None, is_object: bool
) -> tuple[Schema, Restoration, bool]:
    shape = reader.shape_of(Located(schema, SchemaPosition()))
    if is_object:
        shape = _as_parameters(shape)
    declarer = Declarer(reader, placeholder)
    declared, restoration = declarer.declare_shape(shape)
    return declared, restoration, declarer.loses()


def _as_parameters(shape: Shape) -> Shape:
    """Keep only the object type: arguments are an object."""
    if "object" not in shape.facets or shape.facets["object"].values is not None:
        return Shape({"object": Facet()})
    return replace(shape, facets={"object": shape.facets["object"]}, is_any=False, is_implied=False)


# --- names ---


def _free_name(schema: object) -> str:
    """Return a placeholder name that no word of the schema contains."""
    words = fingerprint(schema)
    name, number = PLACEHOLDER, 2
    while isinstance(words, bytes) and name.encode() in words:
        name, number = f"{PLACEHOLDER}_{number}", number + 1
    return name


def _rename_illegal(declared: Schema, restoration: Restoration) -> None:
    """Rename ``filter[id]`` to ``filter_id_``, with the original name in the description."""
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
    """Return distinct legal names for those that are not legal."""
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
