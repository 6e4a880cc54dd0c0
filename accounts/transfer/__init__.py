"""Import and export of accounts: parsing of files of this gateway and of other tools, storing of their rows.

Imports adding, credentials, kinds, models, network and values. Only owners.py asks Google, for the account
that a token belongs to.
"""
