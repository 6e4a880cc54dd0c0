"""Maintenance of the database: migration, downgrade, copies, backup and restore (docs/upgrading.md).

Commands import it, and `proxy_site.apps`, which connects it to Django's migration signals.

Imports accounts, data_dir, environment and gateway.
"""
