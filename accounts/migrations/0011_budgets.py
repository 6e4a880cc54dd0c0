"""What an account may cost in a day and in a month."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import migrations, models


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("accounts", "0010_keyed_accounts"),
    ]

    operations = [
        migrations.AddField(
            "account",
            f"budget_{period}",
            models.DecimalField(
                f"budget a {period}",
                max_digits=9,
                decimal_places=2,
                null=True,
                blank=True,
                validators=[MinValueValidator(0)],
                help_text=f"In dollars. When the account has cost that much in a {period} of the server's time "
                "zone, it cools down until the next one. Calls whose price is not known do not count. Empty: none.",
            ),
        )
        for period in ("day", "month")
    ]
