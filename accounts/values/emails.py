"""Validation of an account's e-mail address."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

MAX_LENGTH = 254


def parse_email(text: Any) -> str | None:
    """Return the address in lower case, which identifies an account; None when it is not an address.

    Quoted control characters and angle brackets, which RFC 5322 allows, are refused: Google has no such
    accounts, and a terminal must not get them.
    """
    if not isinstance(text, str) or not text.isprintable() or any(mark in text for mark in '<>"'):
        return None
    email = text.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        return None
    return email if len(email) <= MAX_LENGTH else None
