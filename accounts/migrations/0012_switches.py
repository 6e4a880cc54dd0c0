"""What a compatible server takes: as its operator says, and as it was learned."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("accounts", "0011_budgets"),
    ]

    operations = [
        migrations.AddField(
            "account",
            "given_switches",
            models.JSONField(
                "switches",
                default=dict,
                db_default=models.Value({}, models.JSONField()),
                blank=True,
                help_text='What the server takes, where it is not left to be learned: {"thinking": false, "betas": '
                '["context-1m-2025-08-07"]}. All names: docs/upstreams.md. What stands here wins.',
            ),
        ),
        migrations.AddField(
            "account",
            "learned_switches",
            models.JSONField(
                default=dict, db_default=models.Value({}, models.JSONField()), editable=False
            ),
        ),
    ]
