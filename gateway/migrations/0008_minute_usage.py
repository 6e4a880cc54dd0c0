"""Sums by minute and model beside those by hour, for charts of the last hours."""

from django.db import migrations, models


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("gateway", "0007_fallback"),
    ]

    operations = [
        migrations.CreateModel(
            name="MinuteUsage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("input_tokens", models.BigIntegerField(db_default=0)),
                ("output_tokens", models.BigIntegerField(db_default=0)),
                ("cache_read_tokens", models.BigIntegerField(db_default=0)),
                ("thinking_tokens", models.BigIntegerField(db_default=0)),
                ("requests", models.BigIntegerField(db_default=0)),
                ("failed", models.BigIntegerField(db_default=0)),
                ("hung_up", models.BigIntegerField(db_default=0)),
                ("interrupted", models.BigIntegerField(db_default=0)),
                ("attempts", models.BigIntegerField(db_default=0)),
                ("retried", models.BigIntegerField(db_default=0)),
                ("retried_well", models.BigIntegerField(db_default=0)),
                ("fallback", models.BigIntegerField(db_default=0)),
                ("waited", models.BigIntegerField(db_default=0)),
                ("waited_seconds", models.FloatField(db_default=0.0)),
                ("begun", models.BigIntegerField(db_default=0)),
                ("first_event_seconds", models.FloatField(db_default=0.0)),
                ("duration_seconds", models.FloatField(db_default=0.0)),
                ("minute", models.DateTimeField()),
                ("model", models.CharField(max_length=200)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("minute", "model"), name="one_row_a_minute")],
            },
        ),
    ]
