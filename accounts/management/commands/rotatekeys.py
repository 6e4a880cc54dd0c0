from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.credentials import key_rotation
from accounts.credentials.encryption import keys, keys_are_in_a_file
from accounts.management.operator_command import OperatorCommand
from accounts.operators.audit import record_command

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(OperatorCommand):
    examples = ("",)
    help = (
        "Makes a new key for the stored credentials and encrypts them all anew; servers may go on running. "
        "Old keys are kept for backups of the database, until --forget-old. With keys in the setting "
        "CREDENTIALS_KEYS: put the new key first there, restart the servers, then run this."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--forget-old", action="store_true", help="keep the newest key only; older backups become useless"
        )

    def act(self, *, forget_old: bool, **options: Any) -> None:
        if keys_are_in_a_file():
            key_rotation.add_key()
        encrypted = key_rotation.encrypt_anew()
        if forget_old and keys_are_in_a_file():
            key_rotation.forget_old_keys()
        record_command("Rotated the keys of the stored credentials")
        rows = [{"encrypted_anew": encrypted, "keys": len(keys())}]
        self.report(rows, f"{encrypted} secrets encrypted anew, {len(keys())} keys kept")
        if forget_old and not keys_are_in_a_file():
            self.info("The old keys can now be taken out of CREDENTIALS_KEYS.")
