"""Readers of other tools' account files, one for each format. They use neither network nor database.

Imports disabled_flags, key_rows, rows and values.
"""
