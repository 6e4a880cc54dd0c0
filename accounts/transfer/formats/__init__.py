"""Readers of other tools' account files, one for each format; without network and database.

Imports disabled_flags, key_rows, rows and values.
"""
