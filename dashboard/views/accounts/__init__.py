"""The pages of accounts: the list, one account, adding one, import, and the actions on them.

Imports accounts, attention, gateway and pages.
"""
