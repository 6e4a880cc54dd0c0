"""Accounts out of the files of other tools: one small reader for each format, and the table of them.

Nothing here asks Google or the database, but for `owners.py`, which asks Google whose a sign-in is.
"""
