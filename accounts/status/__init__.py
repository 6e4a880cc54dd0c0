"""The state of accounts: checked at Google, stored, told to the operator with what to do about it.

Imports models, credentials, google, pool, quota and values.
"""
