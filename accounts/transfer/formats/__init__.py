"""Readers of other tools' account files, one for each format. Pure.

Imports rows and values.
"""
