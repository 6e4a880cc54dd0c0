"""Google's Cloud Code: requests sent, streams opened, failures named.

Imports transport and google_api.
"""
