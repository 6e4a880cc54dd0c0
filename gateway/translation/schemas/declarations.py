"""Translation of a shape into Google's schema, with the Restoration for values that follow it.

Google's Schema has type, description, properties, required, items, enum and nullable. It has ``anyOf`` too,
but Vertex refuses any other field beside it, and Claude interprets it differently from day to day; so
alternatives are joined to one schema, which every model accepts. Every output is built from known fields
only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.translation.schemas.keywords import hints_of
from gateway.translation.schemas.losses import loses_values
from gateway.translation.schemas.restoration import Case, Restoration
from gateway.translation.schemas.shapes import (
    CONTAINERS,
    Expression,
    Facet,
    Located,
    Shape,
    all_of,
    any_of,
    unique_values,
)
from gateway.translation.schemas.texts import SCALAR_READINGS, reading_of, scalar_of_values
from gateway.translation.schemas.words import (
    alternatives_of_values,
    array_in_words,
    as_json,
    as_text,
    names_in_words,
    schema_in_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.translation.schemas.reading import Reader

Schema = dict[str, Any]

PLACEHOLDER_DESCRIPTION = "In a few words, why this call is made"
ANY_JSON = "(any JSON)"
MOST_HINTED_TEXTS = 10


class Declarer:
    """Declares shapes. ``placeholder``: the property added to objects without any; None where they may be
    empty."""

    def __init__(self, reader: Reader, placeholder: str | None) -> None:
        self._reader = reader
        self._placeholder = placeholder
        # True while a schema is described in words: objects need no placeholder then, other values no text.
        self._is_in_words = False
        self._loses = False

    def loses(self) -> bool:
        """Return True when a value valid under the client's schema cannot be sent, or only as text."""
        return self._loses or self._reader.is_cut()

    def declare(self, expression: Expression) -> tuple[Schema, Restoration]:
        plain = self._reader.plain_scalar(expression)
        if plain is not None:
            return _plain_scalar(plain)
        return self.declare_shape(self._reader.shape_of(expression))

    def declare_shape(self, shape: Shape) -> tuple[Schema, Restoration]:
        sentences = _Sentences(shape.description)
        sentences.add(*shape.alternatives)
        self._loses |= not self._is_in_words and loses_values(shape)
        kind = _declared_kind(shape)
        restoration = reading_of(shape, kind, is_told=self._is_in_words)
        schema = self._typed(shape, kind, restoration, sentences)
        if "null" in shape.facets:
            schema["nullable"] = True
        self._tell(shape, sentences)
        sentences.add(*shape.hints)
        sentences.put_into(schema)
        return schema, restoration

    def _typed(self, shape: Shape, kind: str, restoration: Restoration, sentences: _Sentences) -> Schema:
        values = shape.values()
        if values is not None:
            return self._enum(unique_values(values), shape, sentences)
        if kind == "STRING" and (shape.is_any or shape.allows_everything()):
            return self._anything(shape, sentences)
        self._tell_kinds(shape, kind, sentences)
        if kind == "OBJECT":
            return self._object(shape.facets["object"], restoration, sentences)
        if kind == "ARRAY":
            return self._array(shape.facets["array"], restoration, sentences)
        return {"type": kind}

    def _anything(self, shape: Shape, sentences: _Sentences) -> Schema:
        """Declare any JSON value as a string: the model can write every value as JSON."""
        if any(facet.is_detailed() for facet in shape.facets.values()):
            self._tell_kinds(shape, "STRING", sentences)
        if self._is_in_words:
            return {"type": "ANY"}
        sentences.add(ANY_JSON)
        return {"type": "STRING"}

    def _enum(self, values: list[Any], shape: Shape, sentences: _Sentences) -> Schema:
        if not values:
            sentences.add("(null)")
            return {"type": "STRING"}
        kind = scalar_of_values(shape)
        if self._is_in_words:
            return {"type": kind or "STRING", "enum": values}
        return _enum_of_texts(values, sentences) if kind is None else _hinted_enum(values, kind, sentences)

    # --- objects and arrays ---

    def _object(self, facet: Facet, restoration: Restoration, sentences: _Sentences) -> Schema:
        properties: dict[str, Schema] = {}
        not_allowed: list[str] = []
        for name, expression in facet.properties.items():
            if isinstance(expression, Located) and expression.schema is False:
                not_allowed.append(name)
                continue
            properties[name], below = self.declare(expression)
            if below.is_needed():
                restoration.properties[name] = below
        schema: Schema = {"type": "OBJECT", "properties": properties}
        required = [name for name in facet.required if name in properties]
        if required:
            schema["required"] = required
        if not_allowed:
            sentences.add(f"(not allowed: {names_in_words(not_allowed)})")
        restoration.cases = tuple(self._cases(facet, schema, restoration))
        self._tell_other_names(facet, restoration, sentences)
        self._add_placeholder(schema, restoration)
        return schema

    def _cases(self, facet: Facet, schema: Schema, restoration: Restoration) -> Iterator[Case]:
        """Yield the cases of ``{kind: "a", at: integer} | {kind: "b", at: string}``: ``kind`` decides whether
        a text is parsed."""
        for member in facet.members if self._reader.may_look_ahead() else ():
            conditions: dict[str, frozenset[str]] = {}
            below: dict[str, Restoration] = {}
            for name, expression in member.properties.items():
                joined = facet.properties[name]
                if joined == expression or name not in schema["properties"]:
                    continue
                shape = self._reader.looked_up(all_of([joined, expression]))
                values = shape.values()
                if values and all(isinstance(value, str) for value in values):
                    conditions[name] = frozenset(values)
                reading = reading_of(shape, schema["properties"][name]["type"], is_told=self._is_in_words)
                below[name] = _with_reading(restoration.properties.get(name), reading)
            below = {name: one for name, one in below.items() if name not in conditions}
            if conditions and below:
                yield Case(conditions, below)

    def _add_placeholder(self, schema: Schema, restoration: Restoration) -> None:
        if self._placeholder is None or schema["properties"]:
            return
        restoration.placeholder = self._placeholder
        if not self._is_in_words:
            member = {"type": "STRING", "description": PLACEHOLDER_DESCRIPTION}
            schema["properties"] = {self._placeholder: member}
            schema["required"] = [self._placeholder]

    def _tell_other_names(self, facet: Facet, restoration: Restoration, sentences: _Sentences) -> None:
        others = [name for name in facet.required if name not in facet.properties]
        if others:
            sentences.add(f"(also required: {names_in_words(others)})")
        for pattern, expression in facet.maps:
            sentences.add(self._map_in_words(pattern, expression))
        if not facet.maps and facet.is_map and not facet.properties:
            sentences.add("(free-form map)")
        if facet.maps:
            _, below = self._in_words(any_of(expression for _, expression in facet.maps))
            restoration.other_properties = below if below.is_needed() else None

    def _map_in_words(self, pattern: str, expression: Expression) -> str:
        values = schema_in_words(self._in_words(expression)[0])
        if pattern:
            return f"(free-form map of names like {pattern} to {values})"
        return "(free-form map)" if values == "any" else f"(free-form map of {values} values)"

    def _array(self, facet: Facet, restoration: Restoration, sentences: _Sentences) -> Schema:
        schema: Schema = {"type": "ARRAY"}
        schema["items"], below = self._items(facet)
        restoration.items = below if below.is_needed() else None
        for members in facet.tuples:
            described = [self._in_words(member) for member in members]
            if len(members) > 1:
                sentences.add(f"(in this order: {', '.join(schema_in_words(one) for one, _ in described)})")
            if len(facet.tuples) == 1:
                restoration.first_items = tuple(
                    below if one["type"] == "ANY" else member_restoration
                    for one, member_restoration in described
                )
        return schema

    def _items(self, facet: Facet) -> tuple[Schema, Restoration]:
        members = [*facet.items, *(member for members in facet.tuples for member in members)]
        if not members:
            return self.declare_shape(Shape(is_any=True))
        return self.declare(any_of(members))

    # --- words ---

    def _in_words(self, expression: Expression) -> tuple[Schema, Restoration]:
        """Return what ``schema_in_words`` needs: the declaration, but with ANY for any value and every member
        in an enum."""
        return self._shape_in_words(self._reader.shape_of(expression))

    def _shape_in_words(self, shape: Shape) -> tuple[Schema, Restoration]:
        was_in_words, self._is_in_words = self._is_in_words, True
        try:
            return self.declare_shape(shape)
        finally:
            self._is_in_words = was_in_words

    def _tell_kinds(self, shape: Shape, declared: str, sentences: _Sentences) -> None:
        labels = [self._kind_in_words(kind, facet, declared) for kind, facet in shape.non_null().items()]
        if shape.is_any:
            labels.append("any JSON")
        if len(labels) > 1:
            sentences.add(f"(Accepts: {' | '.join(labels)})")

    def _kind_in_words(self, kind: str, facet: Facet, declared: str) -> str:
        if facet.values is not None:
            return alternatives_of_values(facet.values)
        if declared == "STRING" and kind in CONTAINERS and not self._is_in_words:
            return f"{kind} as JSON"
        if kind.upper() == declared or not facet.is_detailed():
            return kind
        return self._facet_in_words(kind, facet)

    def _facet_in_words(self, kind: str, facet: Facet) -> str:
        if facet.values is not None:
            return alternatives_of_values(facet.values)
        schema, _ = self._shape_in_words(Shape({kind: facet}))
        return array_in_words(schema["items"]) if kind == "array" else schema_in_words(schema)

    def _tell(self, shape: Shape, sentences: _Sentences) -> None:
        for kind, facet in shape.excluded:
            if facet.is_detailed():
                sentences.add(f"(in some cases: {self._facet_in_words(kind, facet)})")
        for condition in shape.conditions:
            words = schema_in_words(self._in_words(condition.expression)[0])
            sentences.add(f"({condition.label}: {words})")


class _Sentences:
    """The description and the sentences added to it, each once."""

    def __init__(self, description: str | None) -> None:
        self._description = description or ""
        self._sentences: dict[str, None] = {}

    def add(self, *sentences: str) -> None:
        for sentence in sentences:
            if sentence not in self._description:
                self._sentences[sentence] = None

    def put_into(self, schema: Schema) -> None:
        text = " ".join(filter(None, [self._description, *self._sentences]))
        if text:
            schema["description"] = text


def _with_reading(restoration: Restoration | None, reading: Restoration) -> Restoration:
    """Return the restoration with the way texts are read taken from ``reading``."""
    return replace(
        restoration or Restoration(),
        enum_values=reading.enum_values,
        reads_text_as=reading.reads_text_as,
        texts=reading.texts,
    )


def _plain_scalar(schema: Mapping[str, Any]) -> tuple[Schema, Restoration]:
    """Declare a scalar type directly: the same result as by way of a shape, in a fraction of the time."""
    description = schema.get("description")
    sentences = _Sentences(description if isinstance(description, str) else None)
    sentences.add(*hints_of(schema))
    declared: Schema = {"type": schema["type"].upper()}
    sentences.put_into(declared)
    return declared, SCALAR_READINGS[schema["type"]]


# --- types and values ---


def _declared_kind(shape: Shape) -> str:
    """Return Google's type: the most structured one allowed; STRING for any value, written as text."""
    opened = {kind: facet for kind, facet in shape.non_null().items() if facet.values is None}
    has_text = shape.is_any or "string" in opened
    for kind in CONTAINERS:
        if kind in opened and (opened[kind].is_detailed() or not has_text):
            return kind.upper()
    scalars = [kind for kind in opened if kind not in CONTAINERS]
    is_text = (
        shape.is_any
        or not scalars
        # A fixed set of texts, or objects and arrays of any kind: all can be written as text.
        or ("string" in shape.facets and "string" not in opened)
        or ("string" in opened and len(scalars) < len(opened))
    )
    if is_text:
        return "STRING"
    return "NUMBER" if scalars[0] == "integer" and "number" in scalars else scalars[0].upper()


def _hinted_enum(values: list[Any], kind: str, sentences: _Sentences) -> Schema:
    """Declare values that are not texts by their type and a hint: Google's enum takes texts only."""
    sentences.add(f"(Allowed: {', '.join(map(as_json, values))})")
    return {"type": kind}


def _enum_of_texts(values: list[Any], sentences: _Sentences) -> Schema:
    texts = list(dict.fromkeys(as_text(value) for value in values if value != ""))
    if len(texts) < len(values) and "" in values:
        sentences.add("(may be empty)" if texts else '(Allowed: "")')
    if 2 <= len(texts) <= MOST_HINTED_TEXTS:
        sentences.add(f"(Allowed: {', '.join(texts)})")
    return {"type": "STRING", "enum": texts} if texts else {"type": "STRING"}
