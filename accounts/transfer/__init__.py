"""Import and export of accounts: files of this gateway and of other tools into rows, rows into the database.

Imports adding, credentials, kinds, models, network and values. Only owners.py asks Google: which account a
token belongs to.
"""
