from django.db import migrations, models


class Migration(migrations.Migration):
    since = '0.2.0'
    oldest_code = '0.1.0'

    dependencies = [
        ('accounts', '0005_cooldown_since'),
    ]

    operations = [
        migrations.CreateModel(
            name='DatabaseVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('migrated_by', models.CharField(max_length=40)),
                ('oldest_code', models.CharField(max_length=40)),
                ('migrated_at', models.DateTimeField(auto_now=True)),
            ],
        ),
    ]
