"""The pages of accounts: the list, one account, adding one, import, and the actions on them.

Imports account_pools, accounts, addresses, gateway, overview, pages and templatetags.
"""
