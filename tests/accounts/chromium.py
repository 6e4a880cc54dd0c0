"""The operator's browser: Chromium without a window, in a profile of its own."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Literal

    from playwright.sync_api import Page

QUIET = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-gpu",
)  # fmt: skip
PHONE_WIDTH = 390


@contextmanager
def open_chromium(
    profile: Path, *, width: int = 1280, color_scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=shutil.which("chromium"),
            headless=True,
            args=QUIET,
            viewport={"width": width, "height": 850},
            color_scheme=color_scheme,
        )
        page = browser.new_page()
        page.set_default_timeout(15_000)
        yield page
        browser.close()
