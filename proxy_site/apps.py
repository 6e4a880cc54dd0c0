from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate, pre_migrate


class ProxySiteConfig(AppConfig):
    name = "proxy_site"

    def ready(self) -> None:
        from proxy_site.maintenance import migrating  # needs the models

        # The signals are sent once for each app with models; one app is enough.
        sender = apps.get_app_config("accounts")
        pre_migrate.connect(migrating.before_migrate, sender=sender, dispatch_uid="before_migrate")
        post_migrate.connect(migrating.after_migrate, sender=sender, dispatch_uid="after_migrate")
