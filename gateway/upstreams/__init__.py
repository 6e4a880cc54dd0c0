"""Providers that answer, one folder each, and the connections to them.

Imports google_api, accounts.google and accounts.network; knows no accounts and no clients.
"""
