from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@pytest.fixture
def keep_for_days(live_setting: Callable[[str, Any], None]) -> Callable[[int], None]:
    return lambda days: live_setting("LEDGER_RETENTION_DAYS", days)
