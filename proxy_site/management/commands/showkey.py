from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.command_line import manage
from accounts.management.operator_command import OperatorCommand
from accounts.network import is_loopback
from proxy_site.data_dir import KEY_FILE, generated_auth_token
from proxy_site.environment import SettingError


class Command(OperatorCommand):
    help = (
        "Prints the key that clients must send: AUTH_TOKEN, else the one that was generated into DATA_DIR "
        "because other machines can reach the gateway. On loopback without AUTH_TOKEN any text will do."
    )
    examples = ("", "--json")

    def _prepare_database(self) -> None:
        """Do nothing, since the key is not in the database."""

    def act(self, **options: Any) -> None:
        key, source = self._key()
        self.report([{"key": key, "source": source}], key)

    def _key(self) -> tuple[str, str]:
        """Return the key, and the setting or file that it comes from. Raises CommandError."""
        if settings.AUTH_TOKEN:
            return settings.AUTH_TOKEN, "AUTH_TOKEN"
        path = settings.DATA_DIR / KEY_FILE
        if is_loopback(settings.HOST) and not path.exists():
            raise CommandError(
                "There is no key. On loopback clients may send any text; for one that they must send, "
                "set AUTH_TOKEN. A start that other machines can reach makes one: "
                f"{manage('runserver 0.0.0.0:8672')}"
            )
        try:
            return generated_auth_token(settings.DATA_DIR), str(path)
        except SettingError as error:
            raise CommandError(str(error)) from error
