"""Which model answers a client's name, according to the operator's routes and the offers of accounts.

Imports accounts and routing.
"""
