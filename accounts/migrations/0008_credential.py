"""One encrypted credential for accounts of any kind: a JSON object, where 0.1 has a refresh token alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import migrations, models

from accounts.credentials.encryption import CredentialsUnreadable, seal, seal_fields, unseal_fields

if TYPE_CHECKING:
    from django.apps.registry import Apps
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def to_fields(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _rewrite(apps, schema_editor, into_fields=True)


def to_refresh_tokens(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _rewrite(apps, schema_editor, into_fields=False)


def _rewrite(apps: Apps, schema_editor: BaseDatabaseSchemaEditor, *, into_fields: bool) -> None:
    """Rewrite each credential that a key opens. The others stay as they are: their key may come back, and
    `unseal_fields` reads both forms."""
    accounts = apps.get_model("accounts", "Account").objects.using(schema_editor.connection.alias)
    for pk, sealed in list(accounts.values_list("pk", "sealed_credential")):
        try:
            fields = unseal_fields(sealed)
        except CredentialsUnreadable:
            continue
        if not into_fields and "refresh_token" not in fields:
            continue  # a key of another kind, which older code cannot use
        new = seal_fields(fields) if into_fields else seal(fields["refresh_token"])
        accounts.filter(pk=pk).update(sealed_credential=new)


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.2.0"

    dependencies = [
        ("accounts", "0007_cooldown_kind"),
    ]

    operations = [
        migrations.AddField(
            "account",
            "kind",
            models.CharField(max_length=20, default="google", db_default="google", editable=False),
        ),
        migrations.AddField(
            "account",
            "label",
            models.CharField(
                "name", max_length=100, blank=True, default="", db_default="", help_text="Empty: the e-mail."
            ),
        ),
        migrations.RenameField("account", "sealed_refresh_token", "sealed_credential"),
        migrations.RunPython(to_fields, to_refresh_tokens),
    ]
