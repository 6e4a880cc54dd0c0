from django.db import migrations, models


class Migration(migrations.Migration):
    since = '0.2.0'
    oldest_code = '0.1.0'

    dependencies = [
        ('accounts', '0003_cooldown'),
    ]

    operations = [
        migrations.AddField(
            model_name='sharedtoken',
            name='claimed_by',
            field=models.CharField(db_default='', default='', editable=False, max_length=32),
        ),
    ]
