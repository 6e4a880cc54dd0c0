"""The values that a shape allows and its declaration does not.

An object whose schema does not mention other names counts as closed, which is what schemas of answers mean.
Two schemas that could only be compared by trying values count as different.
"""

from __future__ import annotations

from gateway.translation.schemas.shapes import AllOf, AnyOf, Expression, Facet, Located, Shape
from gateway.translation.schemas.texts import scalar_of_values


def loses_values(shape: Shape) -> bool:
    """Return True when the shape's own declaration loses values; properties and items are judged separately.

    Lost are all types but one, members of an enum that are no text, names that are not listed, and conditions
    on properties.
    """
    if shape.conditions or shape.is_any:
        return True
    values = shape.values()
    if values is not None:
        is_text = all(isinstance(value, str) and value for value in values)
        return not values or (scalar_of_values(shape) is None and not is_text)
    facets = shape.non_null()
    if len(facets) > 1:
        return facets.keys() != {"integer", "number"} or any(facet.values for facet in facets.values())
    return any(_loses_members(kind, facet) for kind, facet in facets.items())


def _loses_members(kind: str, facet: Facet) -> bool:
    if kind == "object":
        return _loses_names(facet) or any(not member.properties for member in facet.members)
    return any(not member.items and not member.tuples for member in facet.members if kind == "array")


def _loses_names(facet: Facet) -> bool:
    names = {name for name, expression in facet.properties.items() if not _is_forbidden(expression)}
    if not names or facet.is_map or not names.issuperset(facet.required):
        return True
    return any(
        _is_narrowed(expression) and any(name not in member.properties for member in facet.members)
        for name, expression in facet.properties.items()
    )


def _is_forbidden(expression: Expression) -> bool:
    return isinstance(expression, Located) and expression.schema is False


def _is_narrowed(expression: Expression) -> bool:
    """Return True for combined conditions, which may come from an alternative that does not hold."""
    if isinstance(expression, AnyOf):
        return any(map(_is_narrowed, expression.parts))
    return isinstance(expression, AllOf)
