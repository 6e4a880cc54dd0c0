"""Accounts without an e-mail address: API keys, told apart by a given name and a fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import migrations, models
from django.db.models import F, Q, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

if TYPE_CHECKING:
    from django.apps.registry import Apps
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

MADE_UP = "@key.invalid"
"""Older code needs an address for each account; no real one has this domain (RFC 2606)."""


def make_up_addresses(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give keyed accounts a made-up address and no accepted terms. Older code takes every credential for one
    of Google; without accepted terms it does not use them."""
    accounts = apps.get_model("accounts", "Account").objects.using(schema_editor.connection.alias)
    number = Cast(F("pk"), models.CharField())
    made_up = Concat(Value("account-"), number, Value(MADE_UP), output_field=models.CharField())
    accounts.filter(email="").update(email=made_up, terms_accepted_at=None)


def take_addresses_back(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    accounts = apps.get_model("accounts", "Account").objects.using(schema_editor.connection.alias)
    accounts.filter(email__endswith=MADE_UP).update(email="", terms_accepted_at=timezone.now())


def _text(length: int, **options: object) -> models.CharField[str, str]:
    return models.CharField(max_length=length, default="", db_default="", **options)  # type: ignore[call-overload]


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.2.0"

    dependencies = [
        ("accounts", "0009_quota_window"),
    ]

    operations = [
        migrations.AlterField(
            "account", "email", models.EmailField("e-mail", max_length=254, blank=True, default="", db_default="")
        ),
        migrations.AlterField(
            "account",
            "label",
            models.CharField(
                "name",
                max_length=100,
                blank=True,
                default="",
                db_default="",
                help_text="Shown on pages; empty: the e-mail, or the name that the account was given.",
            ),
        ),
        migrations.AddField("account", "given_name", _text(100, editable=False)),
        migrations.AddField("account", "fingerprint", _text(64, editable=False)),
        migrations.AddField(
            "account", "base_url", _text(500, verbose_name="address", blank=True, editable=False)
        ),
        migrations.AddField(
            "account",
            "quota_group",
            _text(
                100,
                blank=True,
                help_text="The same name for accounts whose keys belong to one project or organisation: "
                "a limit of one puts them all in cooldown.",
            ),
        ),
        migrations.RunPython(take_addresses_back, make_up_addresses),
        *(
            migrations.AddConstraint(
                "account",
                models.UniqueConstraint(fields=[name], condition=~Q(**{name: ""}), name=f"one_account_a_{name}"),
            )
            for name in ("email", "given_name", "fingerprint")
        ),
    ]
