"""The database as a whole: migrated, taken back, copied, backed up and restored (docs/upgrading.md).

Commands import it, and `proxy_site.apps`, which has it look on whenever Django migrates.
"""
