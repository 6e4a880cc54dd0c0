"""The operator's pages, live: state of the gateway, each request, the accounts, usage and settings.

Imports gateway and accounts; only proxy_site imports it.
"""
