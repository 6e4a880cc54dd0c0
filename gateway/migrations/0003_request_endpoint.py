"""A request that was answered at its first try needs no row for that try: its own says the address, too."""

from django.db import migrations, models

TAKE_FROM_THE_LAST_ATTEMPT = """
    UPDATE gateway_requestlog SET endpoint = coalesce(
        (
            SELECT attempt.endpoint FROM gateway_requestattempt attempt
            WHERE attempt.request_id = gateway_requestlog.id AND attempt.number = gateway_requestlog.attempts
        ),
        ''
    )
"""
DROP_ONLY_ATTEMPTS = """
    DELETE FROM gateway_requestattempt WHERE request_id IN (
        SELECT id FROM gateway_requestlog
        WHERE attempts = 1 AND problem IS NULL AND duration_seconds IS NOT NULL
    )
"""


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0002_ledger"),
    ]

    operations = [
        migrations.AddField(
            model_name="requestlog",
            name="endpoint",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.RunSQL([TAKE_FROM_THE_LAST_ATTEMPT, DROP_ONLY_ATTEMPTS], migrations.RunSQL.noop),
    ]
