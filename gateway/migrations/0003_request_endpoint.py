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
# On the way back; only the seconds that each had waited before it began are not told apart any more.
WRITE_ONLY_ATTEMPTS_AGAIN = """
    INSERT INTO gateway_requestattempt (
        request_id, number, account, model, endpoint, started_at, waited_seconds, took_seconds, reason, decision,
        input_tokens, output_tokens, cache_read_tokens, thinking_tokens
    )
    SELECT
        id, 1, account, upstream_model, endpoint, started_at, waited_seconds, duration_seconds - waited_seconds,
        'answered', '', input_tokens, output_tokens, cache_read_tokens, thinking_tokens
    FROM gateway_requestlog
    WHERE attempts = 1 AND problem IS NULL AND duration_seconds IS NOT NULL
    ON CONFLICT (request_id, number) DO NOTHING
"""


class Migration(migrations.Migration):
    since = "0.1.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("gateway", "0002_ledger"),
    ]

    operations = [
        migrations.AddField(
            model_name="requestlog",
            name="endpoint",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.RunSQL([TAKE_FROM_THE_LAST_ATTEMPT, DROP_ONLY_ATTEMPTS], WRITE_ONLY_ATTEMPTS_AGAIN),
    ]
