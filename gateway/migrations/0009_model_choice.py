"""Models for Claude Code that an operator keeps under a name."""

from django.db import migrations, models

class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("gateway", "0008_minute_usage"),
    ]

    operations = [
        migrations.CreateModel(
            name="ModelChoice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=50, unique=True)),
                ("opus", models.CharField(blank=True, max_length=200)),
                ("sonnet", models.CharField(blank=True, max_length=200)),
                ("haiku", models.CharField(blank=True, max_length=200)),
            ],
            options={"ordering": ["name"]},
        ),
    ]
