"""JSON as Google does not send it: the shapes that are expected, with anything at all in their places."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

NASTY_TEXTS = [
    "", "nan", "-1", "9" * 400, "two\r\nlines", "\0", "\x1b]0;title\x07", "\u202e",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-23:59", "2026-02-30T00:00:00Z",
    "https://accounts.google.com/\r\nx: y", "http://[", "projects/\u0661", '{"error": {"message": "{"}}',
    "a" * 5000, "1h" * 5000, "retry in " + "9" * 400 + "s",
    "prompt is too long: " + "9" * 5000 + " tokens > 7 maximum",
]  # fmt: skip
NASTY_NUMBERS = [-1, 0, 2**63, -(2**63), 1e308, -1e-300, 0.5, 1.5, 200, 429, 10**17, 10**25]


def _nasty_text(number: int) -> str:
    return NASTY_TEXTS[number]


# By number: the library writes a strategy down now and then, and warns when that is long.
TEXTS = st.integers(0, len(NASTY_TEXTS) - 1).map(_nasty_text) | st.text(max_size=20)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NASTY_NUMBERS) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def encoded(value: Any) -> bytes:
    """The standard library writes also what is no JSON: NaN, halves of characters, numbers of any length."""
    return json.dumps(value).encode()


def like(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object of which any field may be missing, or anything else."""
    return st.fixed_dictionaries({}, optional={name: _or_not(field) for name, field in fields.items()})


def several(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(_or_not(of), max_size=3)


def _or_not(field: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(field, field, field, ANYTHING)


# Google's errors
DETAIL = like(
    **{"@type": st.sampled_from(["x/ErrorInfo", "x/RetryInfo", "x/QuotaFailure", "x/Help"])},
    reason=st.sampled_from(["QUOTA_EXHAUSTED", "VALIDATION_REQUIRED", "RATE_LIMIT_EXCEEDED"]),
    retryDelay=TEXTS,
    metadata=like(quotaResetDelay=TEXTS, quotaResetTimeStamp=TEXTS, validation_url=TEXTS, consumer=TEXTS),
    links=several(like(url=TEXTS)),
    violations=several(like(quotaId=TEXTS)),
)
ERROR = like(error=like(code=st.integers(), status=TEXTS, message=TEXTS, details=several(DETAIL)))
HEADERS = st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), TEXTS)
