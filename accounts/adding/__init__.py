"""Adding accounts that are keys: read, checked without cost, kept from leading back to the gateway, stored.

Imports failures, kinds, models, network, operators and values.
"""
