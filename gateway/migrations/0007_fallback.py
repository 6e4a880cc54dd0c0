"""Name the columns of answers from another model `fallback`, like the setting."""

from django.db import migrations


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.2.0"

    dependencies = [
        ("gateway", "0006_request_class"),
    ]

    operations = [
        migrations.RenameField("requestlog", "stepped_in", "fallback"),
        migrations.RenameField("hourlyusage", "stepped_in", "fallback"),
    ]
