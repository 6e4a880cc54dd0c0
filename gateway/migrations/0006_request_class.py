"""Safety checks have rows of their own, told apart from clients' requests."""

from django.db import migrations, models


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("gateway", "0005_token_ratio"),
    ]

    operations = [
        migrations.AddField(
            model_name="requestlog",
            name="request_class",
            field=models.CharField(db_default="messages", default="messages", max_length=20),
        ),
    ]
