"""Providers that answer, one folder each, and the connections to them.

`base.py` is the interface, `registry.py` has the upstream of each kind of account. Imports google_api,
routing, accounts.google, accounts.kinds.access and accounts.network; knows no accounts and no clients.
"""
