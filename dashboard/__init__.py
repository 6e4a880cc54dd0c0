"""Pages that show what the gateway does. They only read.

Imports gateway and accounts; only proxy_site imports it.
"""
