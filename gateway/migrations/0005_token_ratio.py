"""What a model's tokens are to our estimates of them, learnt from its answers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("gateway", "0004_signatures"),
    ]

    operations = [
        migrations.CreateModel(
            name="TokenRatio",
            fields=[
                ("model", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("ratio", models.FloatField()),
                ("answers", models.FloatField()),
                ("changed_at", models.DateTimeField()),
            ],
        ),
    ]
