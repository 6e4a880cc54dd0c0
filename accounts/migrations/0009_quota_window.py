"""The limits over five hours and a week, for accounts that Google tells them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("accounts", "0008_credential"),
    ]

    operations = [
        migrations.CreateModel(
            name="QuotaWindow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("remaining_fraction", models.FloatField(null=True)),
                ("reset_at", models.DateTimeField(null=True, verbose_name="full again")),
                ("taken_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                ("family", models.CharField(max_length=20)),
                ("span", models.CharField(max_length=20)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="quota_windows",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "ordering": ["account_id", "family", "span", "taken_at"],
                "indexes": [
                    models.Index(fields=["account", "family", "span", "-taken_at"], name="window_newest"),
                    models.Index(fields=["seen_at"], name="window_age"),
                ],
            },
        ),
    ]
