"""Import and export of accounts: files of this gateway and of other tools into rows, rows into the database.

Imports models, credentials, google and values. Only owners.py asks Google: which account a token belongs to.
"""
