"""The menu of the pages: the same entries on the dashboard and in the admin."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.addresses import address


@dataclass(frozen=True, slots=True)
class Entry:
    title: str
    url_name: str
    key: str
    """The key that opens the page when pressed after `g`."""
    icon: str
    """The name of an icon of Material Symbols, for the admin; the dashboard uses `_icons.html`."""

    @property
    def url(self) -> str:
        return address(self.url_name)


MENU: tuple[Entry, ...] = (
    Entry("Overview", "overview", "o", "monitoring"),
    Entry("Requests", "requests", "r", "list_alt"),
    Entry("Accounts", "accounts", "a", "group"),
    Entry("Models", "models", "m", "alt_route"),
    Entry("Usage", "usage", "u", "bar_chart"),
    Entry("Logs", "logs", "l", "terminal"),
    Entry("Connect", "connect", "c", "power"),
    Entry("Settings", "settings", "s", "tune"),
    Entry("System", "system", "y", "vital_signs"),
)
