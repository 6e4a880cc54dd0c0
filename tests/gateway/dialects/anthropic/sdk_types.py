"""The official SDK's request types, walked: one request for each thing they say about a field.

The types are read as Python has them (TypedDict, Required, Literal, Union), so a newer SDK adds its fields
to the walk by itself.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, Required, Union

from typing_extensions import get_type_hints, is_typeddict

Put = Callable[[Any], dict[str, Any]]
"""A value to a whole body that holds it."""

BESIDE = "none_of_these"
LEFT_OUT = object()
# What a valid value needs beyond its type, by "type.field" or by the field alone.
SAMPLES: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 4_096,
    "budget_tokens": 1_024,
    "data": "aGk=",
    "ToolParam.name": "get_weather",
    "ToolChoiceToolParam.name": "get_weather",
    "MCPToolParamParam.name": "get_weather",
}
TOOLS = [{"name": "get_weather", "input_schema": {"type": "object"}}]
ALSO_GIVEN: dict[str, dict[str, Any]] = {
    "SystemMessageParam": {"content": "Be brief."},
    "MessageCreateParamsNonStreaming": {"tools": TOOLS},
    "MessageCreateParamsStreaming": {"tools": TOOLS},
    "MessageCountTokensParams": {"tools": TOOLS},
}
OTHER_VALUES = ({"a": 1}, ["a"], "a", 5, True)


@dataclass(frozen=True)
class Case:
    """``name`` is "type.field", without the prefix of the beta types; ``path`` is that in the body."""

    name: str
    path: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A type of the SDK where it stands in a body."""

    kind: Any
    path: tuple[str, ...]
    put: Put
    holder: str

    @property
    def name(self) -> str:
        return short_name(self.kind)

    def sample(self) -> Any:
        return sample(self.kind)

    def fields(self) -> Iterator[tuple[str, Any, bool]]:
        """Name, type and whether it is required."""
        for name, hint in hints_of(self.kind).items():
            yield name, unwrapped(hint), is_required(self.kind, name)

    def case(self, field: str, value: Any) -> Case:
        whole = {**self.sample(), field: value}
        if value is LEFT_OUT:
            del whole[field]
        return Case(f"{self.name}.{field}", ".".join((*self.path, field)), self.put(whole))


def places(body_type: Any, may_enter: Callable[[Place], bool] = lambda place: True) -> Iterator[Place]:
    """Each type once for each field of another that may hold it, but for those that may not be entered."""
    seen: set[tuple[str, str]] = set()
    to_visit = [Place(body_type, (), lambda body: body, "")]
    while to_visit:
        place = to_visit.pop()
        if (place.name, place.holder) in seen or not may_enter(place):
            continue
        seen.add((place.name, place.holder))
        yield place
        for field, hint, _ in place.fields():
            to_visit += _inside(place, field, hint)


def _inside(place: Place, field: str, hint: Any) -> Iterator[Place]:
    def put(value: Any) -> dict[str, Any]:
        return place.put({**place.sample(), field: value})

    def put_in_list(value: Any) -> dict[str, Any]:
        return put([value])

    holder = f"{place.name}.{field}"
    for choice in choices(hint):
        if is_typeddict(choice):
            yield Place(choice, (*place.path, field), put, holder)
        elif item := item_of(choice):
            for inner in choices(item):
                if is_typeddict(inner):
                    yield Place(inner, (*place.path, field, "0"), put_in_list, holder)


# --- cases ---


def without_required_fields(place: Place) -> Iterator[Case]:
    for field, _, required in place.fields():
        if required:
            yield place.case(field, LEFT_OUT)


def beside_literals(place: Place) -> Iterator[Case]:
    for field, hint, _ in place.fields():
        if is_literal(hint):
            yield place.case(field, BESIDE)
        for choice in choices(hint):
            if (item := item_of(choice)) and is_literal(item):
                case = place.case(field, [BESIDE])
                yield Case(case.name, f"{case.path}.0", case.body)


def of_another_type(place: Place) -> Iterator[Case]:
    for field, hint, _ in place.fields():
        allowed = {json_type(choice) for choice in choices(hint)}
        other = next((value for value in OTHER_VALUES if type(value) not in allowed), None)
        if other is not None and object not in allowed:
            yield place.case(field, other)


def with_optional_fields(place: Place) -> Iterator[Case]:
    """Each with each form it may have, and null."""
    for field, hint, required in place.fields():
        if not required:
            yield place.case(field, None)
            for choice in choices(hint):
                yield place.case(field, sample(choice, f"{place.name}.{field}"))


# --- types ---


@cache
def hints_of(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def short_name(kind: Any) -> str:
    return str(kind.__name__).removeprefix("Beta")


def is_required(kind: Any, field: str) -> bool:
    """``__required_keys__`` cannot see the Required of an annotation that is a string, as the SDK's are."""
    origin = typing.get_origin(hints_of(kind)[field])
    return origin is Required or (origin is not NotRequired and field in kind.__required_keys__)


def unwrapped(hint: Any) -> Any:
    while typing.get_origin(hint) in (Required, NotRequired, Annotated):
        hint = typing.get_args(hint)[0]
    return hint


@cache
def choices(hint: Any) -> list[Any]:
    """The members of a union that a client can send as JSON. Answers of the SDK and open files are none."""
    hint = unwrapped(hint)
    if typing.get_origin(hint) in (Union, types.UnionType):
        return [choice for member in typing.get_args(hint) for choice in choices(member)]
    return [hint] if json_type(hint) is not None else []


def item_of(hint: Any) -> Any:
    return typing.get_args(hint)[0] if json_type(hint) is list and typing.get_args(hint) else None


def is_literal(hint: Any) -> bool:
    members = choices(hint)
    return bool(members) and all(typing.get_origin(member) is Literal for member in members)


@cache
def json_type(hint: Any) -> type | None:
    origin = typing.get_origin(hint)
    if is_typeddict(hint) or origin in (dict, Mapping) or hint is dict:
        return dict
    if origin is Literal:
        return type(typing.get_args(hint)[0])
    if origin in (list, Iterable, Sequence) or (isinstance(origin, type) and origin.__name__ == "Sequence"):
        return list
    return hint if hint in (str, int, float, bool, object) else None


def sample(hint: Any, name: str = "") -> Any:
    """The least value that fits."""
    for key in (name, name.rpartition(".")[2]):
        if key in SAMPLES and isinstance(SAMPLES[key], json_type(hint) or ()):
            return SAMPLES[key]
    if is_typeddict(hint):
        return _sample_object(hint)
    kind = json_type(hint)
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)[0]
    if kind is list:
        item = item_of(hint)
        return [sample(choices(item)[0])] if item else []
    return {str: "words", int: 1, float: 1.0, bool: True, dict: {}, object: {}}[kind or object]


def _sample_object(kind: Any) -> dict[str, Any]:
    name = short_name(kind)
    value = {
        field: sample(choices(hint)[0], f"{name}.{field}")
        for field, hint in hints_of(kind).items()
        if is_required(kind, field)
    }
    return {**value, **ALSO_GIVEN.get(name, {})}
