"""The prices in use: the shipped ones, overridden by those of the file `prices.json` in DATA_DIR, which is
read again when it changes."""

from __future__ import annotations

import logging
import time
from importlib import resources
from typing import TYPE_CHECKING

from django.conf import settings

from gateway.pricing.prices import NOTHING, Charge, Prices, PricesUnreadable, read_prices
from gateway.routing.upstream_model import CLOUD_CODE

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "prices.json"
LOOK_EVERY_SECONDS = 5.0
MOST_BYTES = 4 * 1024 * 1024
WITH_UNPAID_TIER = "gemini"
"""The kind of account whose unpaid tier costs nothing. Other kinds cost nothing only where the price is 0."""

logger = logging.getLogger(__name__)


class PriceList:
    """Reads the operator's file at most every LOOK_EVERY_SECONDS, and only when it has changed. A file that
    cannot be read is logged once, and the prices read before stay in use."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or settings.DATA_DIR / FILE_NAME
        self._shipped = shipped_prices()
        self._prices = self._shipped
        self._seen: tuple[int, int] | None = None
        self._look_at = 0.0

    @property
    def prices(self) -> Prices:
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_SECONDS
            self._look()
        return self._prices

    def charge(self, kind: str, model_id: str, *, is_paid: bool) -> Charge | None:
        """Return what an account of the kind pays for the model; None for Cloud Code, which does not bill
        tokens."""
        if kind == CLOUD_CODE:
            return None
        is_free = kind == WITH_UNPAID_TIER and not is_paid
        return Charge(NOTHING if is_free else self.prices.of(kind, model_id))

    def _look(self) -> None:
        try:
            state = self._file.stat()
        except OSError:
            self._prices, self._seen = self._shipped, None
            return
        seen = (state.st_mtime_ns, state.st_size)
        if seen != self._seen:
            self._seen = seen
            self._read()

    def _read(self) -> None:
        try:
            with self._file.open("rb") as file:
                text = file.read(MOST_BYTES + 1)
            if len(text) > MOST_BYTES:
                raise PricesUnreadable("it is too large")
            self._prices = self._shipped.under(read_prices(text))
        except (OSError, PricesUnreadable) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            logger.warning("The prices in %s cannot be used: %s.", self._file, reason)


def shipped_prices() -> Prices:
    return read_prices((resources.files("gateway.pricing") / FILE_NAME).read_bytes())
