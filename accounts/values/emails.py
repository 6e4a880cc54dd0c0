"""The one rule for what counts as an account's e-mail address."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

MAX_LENGTH = 254


def parse_email(text: Any) -> str | None:
    """In lower case, as accounts are known by it; None when it is not an address.

    The standard lets quoted control characters and angle brackets through; Google has no such accounts, and a
    terminal should not be sent them.
    """
    if not isinstance(text, str) or not text.isprintable() or any(mark in text for mark in '<>"'):
        return None
    email = text.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        return None
    return email if len(email) <= MAX_LENGTH else None
