"""Makes the pictures of the dashboard in docs/images: the demo in Chromium, in both themes and on a phone.

uv run --group dev python -m docs.screenshots.pages_of_dashboard
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from proxy_site.emulator.server import EmulatorServer
from tests.accounts.chromium import open_chromium
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).resolve().parents[1] / "images"
PASSWORD = "only for these pictures"  # noqa: S105  # of a demo that ends with this program
PAGES = {
    "accounts": "/accounts",
    "requests": "/requests",
    "models": "/models",
    "usage": "/usage?by=client&span=7d",
    "connect": "/connect",
    "logs": "/logs",
    "settings": "/settings",
    "system": "/system",
}
LOOKS: tuple[tuple[str, int, Literal["light", "dark"]], ...] = (
    ("light", 1280, "light"),
    ("dark", 1280, "dark"),
    ("phone", 390, "dark"),
)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, EmulatorServer() as emulator:
        gateway = LiveGateway(emulator, Path(folder) / "data", "--demo", WEBUI_PASSWORD=PASSWORD)
        gateway.start()
        try:
            for name, width, theme in LOOKS:
                with open_chromium(Path(folder) / name, width=width, color_scheme=theme) as page:
                    take_pictures(page, gateway.url, name)
        finally:
            gateway.stop()


def take_pictures(page: Page, url: str, look: str) -> None:
    page.goto(url)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("[data-live-state][data-state=live]").wait_for()
    take(page, f"overview-{look}")
    rows = page.request.get(f"{url}/api/requests?limit=500").json()["requests"]
    slowest = max(rows, key=lambda row: row["first_event_seconds"] or 0)
    page.goto(f"{url}/requests/{slowest['request_id']}")
    take(page, f"request-{look}")
    for name, path in PAGES.items() if look == "light" else ():
        page.goto(url + path)
        take(page, f"{name}-{look}")


def take(page: Page, name: str) -> None:
    page.wait_for_timeout(700)  # for what comes over the socket
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
