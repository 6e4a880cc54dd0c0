"""What tokens cost, beside their numbers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    since = "0.2.0"
    oldest_code = "0.1.0"

    dependencies = [
        ("gateway", "0009_model_choice"),
    ]

    operations = [
        migrations.AddField("hourlyusage", "cost", models.BigIntegerField(db_default=0)),
        migrations.AddField("hourlyusage", "unpriced", models.BigIntegerField(db_default=0)),
        migrations.AddField("minuteusage", "cost", models.BigIntegerField(db_default=0)),
        migrations.AddField("minuteusage", "unpriced", models.BigIntegerField(db_default=0)),
        migrations.AddField("requestattempt", "cost", models.BigIntegerField(null=True)),
        migrations.AddField("requestattempt", "unpriced", models.BigIntegerField(db_default=0)),
        migrations.AddField("requestlog", "cost", models.BigIntegerField(null=True)),
        migrations.AddField("requestlog", "unpriced", models.BigIntegerField(db_default=0)),
    ]
