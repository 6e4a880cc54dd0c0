"""Values of several live settings at once, for pools of different size. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset. `values` are texts, as an operator would type them."""

    title: str
    meaning: str
    values: Mapping[str, str]


PRESETS = {
    "small": Preset(
        "One to three accounts",
        "Each account takes more requests at a time, a limit is waited for, and a fallback model answers "
        "when all accounts are at theirs.",
        {
            "ACCOUNT_STRATEGY": "sticky",
            "MAX_CONCURRENT_REQUESTS": "8",
            "MAX_WAIT_BEFORE_ERROR_MS": "120000",
            "GLOBAL_QUOTA_THRESHOLD": "0",
            "FALLBACK": "true",
        },
    ),
    "large": Preset(
        "Ten accounts and more",
        "Requests are spread thinly, each account keeps a tenth of its quota in reserve, and a request that "
        "finds no account fails after half a minute.",
        {
            "ACCOUNT_STRATEGY": "hybrid",
            "MAX_CONCURRENT_REQUESTS": "3",
            "MAX_WAIT_BEFORE_ERROR_MS": "30000",
            "GLOBAL_QUOTA_THRESHOLD": "0.1",
            "FALLBACK": "false",
        },
    ),
}
