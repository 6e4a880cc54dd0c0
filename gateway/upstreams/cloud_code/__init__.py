"""Google's Cloud Code: requests sent, streams opened, failures named.

Imports accounts, base and transport.
"""
