"""A job that fails: by itself, because a worker process imports the module that it is in."""

from __future__ import annotations


def fail(request: object, error: Exception) -> None:
    raise error
