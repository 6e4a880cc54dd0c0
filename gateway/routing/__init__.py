"""Which upstream model answers which name, and what is known of each model. Pure.

Imports nothing else of the gateway.
"""
