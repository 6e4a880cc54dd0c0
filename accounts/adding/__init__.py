"""Adding accounts whose credential is an API key. A key is parsed, checked at its provider at no cost and
stored; an address that leads back to the gateway is refused.

Imports failures, kinds, models, network, operators and values.
"""
