"""Checks of JSON values, combined into the shapes of a request.

A check takes a value and returns nothing, or raises Mismatch. Nothing is copied, and no path is built while
the values fit, so that a request of thousands of blocks costs two calls a block. Types are compared with
``type(value) is``, which costs no call: JSON has no subclasses.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from typing import Any

Check = Callable[[Any], None]


class Mismatch(Exception):
    """Raised for a value that does not fit. Each container adds its step of the path while the exception
    propagates."""

    def __init__(self, problem: str, *path: str | int) -> None:
        super().__init__(problem)
        self._problem = problem
        self._path: list[str | int] = [*reversed(path)]

    def inside(self, step: str | int) -> Mismatch:
        self._path.append(step)
        return self

    def __str__(self) -> str:
        """Return the message in Anthropic's form, ``messages.0.content.1.text: Field required``."""
        path = ".".join(map(str, reversed(self._path)))
        return f"{path}: {self._problem}" if path else self._problem


# --- single values ---


def string(value: Any) -> None:
    if type(value) is not str:
        raise Mismatch("Input should be a valid string")


def filled_string(value: Any) -> None:
    if type(value) is not str:
        raise Mismatch("Input should be a valid string")
    if not value:
        raise Mismatch("String should have at least 1 character")


def boolean(value: Any) -> None:
    if type(value) is not bool:
        raise Mismatch("Input should be a valid boolean")


def an_object(value: Any) -> None:
    if type(value) is not dict:
        raise Mismatch("Input should be an object")


def integer(value: Any) -> None:
    """Check an integer; neither ``True`` nor ``1.0`` is one."""
    if type(value) is not int:
        raise Mismatch("Input should be a valid integer")


def integer_of_at_least(least: int) -> Check:
    def check(value: Any) -> None:
        integer(value)
        if value < least:
            raise Mismatch(f"Input should be greater than or equal to {least}")

    return check


def fraction(value: Any) -> None:
    if type(value) not in (int, float):
        raise Mismatch("Input should be a valid number")
    if not 0 <= value <= 1:
        raise Mismatch("Input should be from 0 to 1")


def base64_data(value: Any) -> None:
    filled_string(value)
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        raise Mismatch("Input should be valid base64") from None


def one_of(*allowed: str) -> Check:
    problem = f"Input should be {_listed(allowed)}"

    def check(value: Any) -> None:
        # Compared one by one, because a list cannot be looked up in a set.
        if not any(value == each for each in allowed):
            raise Mismatch(problem)

    return check


def not_permitted(value: Any) -> None:
    raise Mismatch("Extra inputs are not permitted")


def _listed(words: Collection[str]) -> str:
    """Return the words as text: ``'a', 'b' or 'c'``."""
    *first, last = [f"'{word}'" for word in words]
    return f"{', '.join(first)} or {last}" if first else last


# --- values made of others ---


def list_of(check: Check, *, or_string: bool = False, at_least: int = 0, at_most: int | None = None) -> Check:
    problem = "Input should be a valid string or list" if or_string else "Input should be a valid list"

    def check_list(value: Any) -> None:
        if or_string and type(value) is str:
            return
        if type(value) is not list:
            raise Mismatch(problem)
        if at_least and len(value) < at_least:
            raise Mismatch(f"List should have at least {at_least} item")
        if at_most is not None and len(value) > at_most:
            raise Mismatch(f"List should have at most {at_most} items")
        index = 0
        try:
            for index, item in enumerate(value):  # noqa: B007 -- a step of the path
                check(item)
        except Mismatch as mismatch:
            raise mismatch.inside(index) from None

    return check_list


def string_or(check: Check) -> Check:
    def check_value(value: Any) -> None:
        if type(value) is not str:
            check(value)

    return check_value


def map_of(check: Check) -> Check:
    """Check an object with keys chosen by the client."""

    def check_map(value: Any) -> None:
        an_object(value)
        key = ""
        try:
            for key, item in value.items():  # noqa: B007 -- a step of the path
                if item is not None:
                    check(item)
        except Mismatch as mismatch:
            raise mismatch.inside(key) from None

    return check_map


TYPE_OF: dict[Check, type] = {string: str, boolean: bool, integer: int, an_object: dict}


def shape(required: Mapping[str, Check] | None = None, /, **optional: Check) -> Check:
    """Check an object. Unnamed fields pass; an optional field that is null counts as absent."""
    required_checks = [(name, TYPE_OF.get(check), check) for name, check in (required or {}).items()]
    plain_optional = {name: TYPE_OF.get(check) for name, check in optional.items()}

    def check_object(value: Any) -> None:
        if type(value) is not dict:
            raise Mismatch("Input should be an object")
        name = ""
        try:
            for name, plain_type, check in required_checks:
                if name not in value:
                    raise Mismatch("Field required")
                item = value[name]
                # Most fields: checked without a call.
                if type(item) is not plain_type:
                    check(item)
            for name in value if optional else ():
                if name in optional:
                    item = value[name]
                    if item is not None and type(item) is not plain_optional[name]:
                        optional[name](item)
        except Mismatch as mismatch:
            raise mismatch.inside(name) from None

    return check_object


def variants(
    shapes: Mapping[str, Check],
    *,
    by: str = "type",
    is_open: bool = False,
    misplaced: Mapping[str, str] | None = None,
) -> Check:
    """Check an object of one of several shapes, distinguished by a field, most often ``type``. An open family
    lets unknown values pass, since new ones appear without notice. ``misplaced`` has the problems of values
    that are known but not allowed here."""
    problems = misplaced or {}

    def check_variant(value: Any) -> None:
        if type(value) is not dict:
            raise Mismatch("Input should be an object")
        if by not in value or value[by] is None:
            raise Mismatch("Field required", by)
        variant = value[by]
        if type(variant) is not str:
            raise Mismatch("Input should be a valid string", by)
        if variant in shapes:
            shapes[variant](value)
        elif variant in problems:
            raise Mismatch(problems[variant])
        elif not is_open:
            raise Mismatch(f"Input should be {_listed(shapes)}", by)

    return check_variant
