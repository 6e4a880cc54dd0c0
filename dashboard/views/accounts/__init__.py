"""The pages of accounts: the list, one account, adding one, import, and the actions on them.

Imports accounts, gateway, overview and pages.
"""
