from django.db import migrations, models

KINDS = {
    'quota': 'QUOTA',
    'rate limit': 'RATE_LIMIT',
    'limit': 'UNKNOWN_LIMIT',
    'no licence for this model': 'NO_LICENCE',
    'project refused': 'WRONG_PROJECT',
    'forbidden': 'FORBIDDEN',
    'access token refused': 'ACCESS_TOKEN_REFUSED',
}


def name_kinds(apps, schema_editor):
    cooldowns = apps.get_model('accounts', 'Cooldown').objects.using(schema_editor.connection.alias)
    for reason, kind in KINDS.items():
        cooldowns.filter(reason=reason).update(kind=kind)
    cooldowns.filter(reason__startswith='failed ').update(kind='SERVER_ERROR')


class Migration(migrations.Migration):
    since = '0.2.0'
    oldest_code = '0.1.0'

    dependencies = [
        ('accounts', '0006_database_version'),
    ]

    operations = [
        migrations.AddField(
            model_name='cooldown',
            name='kind',
            field=models.CharField(db_default='', default='', max_length=40),
        ),
        migrations.RunPython(name_kinds, migrations.RunPython.noop),
    ]
