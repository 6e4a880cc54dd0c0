"""Parsing of the redirect address that an operator copies from the browser's address bar. Pure.

Terminals and chat programs break, quote and encode long lines; what can be undone unambiguously is undone.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from accounts.google.oauth_errors import explain, read_error_page

CALLBACK_PATH = "/oauth-callback"
BEGINNINGS = ("?", "code=", "state=", "localhost", "127.0.0.1", "[::1]", CALLBACK_PATH)
CODE = re.compile(r"[A-Za-z0-9/_.~-]{10,1024}")
MOST_ENCODINGS = 3

INVISIBLE = re.compile("\x1b\\[20[01]~|[\u200b-\u200d\u2060\ufeff]")
"""A terminal's bracketed-paste marks, and characters without width."""
QUOTES = "\"'`<>()[]{}\u201c\u201d\u2018\u2019\u00ab\u00bb,;."

NO_CODE = (
    "That address holds no code. Copy the whole address of the page that could not be opened, it begins with "
    f"http://localhost and contains {CALLBACK_PATH}?"
)
BEFORE_CONSENT = (
    "That is an address of Google's sign-in. Finish the sign-in there, and copy the address of the page at "
    "which the browser ends; it begins with http://localhost."
)


class AnswerUnusable(Exception):
    """Raised when the address or code does not answer this attempt, which stays pending. The text is for the
    operator."""


def parse_pasted(pasted: str) -> dict[str, str]:
    """Return the parameters of the address, `code` or `error` among them; `code` alone for a bare code.

    Raises AnswerUnusable.
    """
    words = INVISIBLE.sub("", pasted).split()
    text = _decoded("".join(words).strip(QUOTES))
    if "://" in text or text.startswith(BEGINNINGS):
        return _from_address(text[max(text.find("http"), 0) :].replace("&amp;", "&"))
    code = _code(text)
    # A code broken by a line end still begins with 4/ as Google's do; other words are no code.
    if code is None or (len(words) > 1 and not code.startswith("4/")):
        raise AnswerUnusable("That is neither the address nor a code.")
    return {"code": code}


def _decoded(text: str) -> str:
    """Percent-decode an address that was encoded as a whole, up to MOST_ENCODINGS times."""
    for _ in range(MOST_ENCODINGS):
        if not re.match("https?%(25)*3a", text, re.IGNORECASE):
            break
        text = unquote(text)
    return text


def _from_address(address: str) -> dict[str, str]:
    if (page := read_error_page(address)) is not None:
        raise AnswerUnusable(explain(page.error, page.said))
    answer = _query_of(address)
    if "error" in answer:
        return answer
    if "code" not in answer:
        is_googles = re.match("https://accounts[.]google[.]", address) is not None
        raise AnswerUnusable(BEFORE_CONSENT if is_googles else NO_CODE)
    code = _code(answer["code"])
    if code is None:
        raise AnswerUnusable(
            "The code in that address is not whole, or holds what no code holds. Copy the address once more."
        )
    return {**answer, "code": code}


def _query_of(address: str) -> dict[str, str]:
    """Return the query of an address, or of its end alone, with the first value of each name; an empty one
    for other text."""
    try:
        query = urlsplit(address).query or address.lstrip("?")
        return {name: values[0] for name, values in parse_qs(query).items()}
    except ValueError:
        return {}


def _code(text: str) -> str | None:
    """Return the percent-decoded code; None when it is not a code. Google's codes contain no percent sign."""
    for _ in range(MOST_ENCODINGS):
        text = unquote(text)
    return text if CODE.fullmatch(text) else None
