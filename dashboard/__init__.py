"""The operator's pages: how it stands, each request, the accounts, usage and settings, live.

Imports gateway and accounts; only proxy_site imports it.
"""
