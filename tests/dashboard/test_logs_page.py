from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.test import Client


@pytest.mark.parametrize(("asked", "level"), [("error", "error"), ("", "info"), ("<b>", "info")])
def test_the_level_stands_in_the_address(operator: Client, asked: str, level: str) -> None:
    page = operator.get("/logs", {"level": asked}).content.decode()
    assert f'data-level="{level}"' in page
    assert page.count('aria-pressed="true"') == 2  # the level, and wrapped lines
