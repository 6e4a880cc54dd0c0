"""Which model answers a client's name, by the operator's routes and by what accounts offer.

Imports accounts and routing.
"""
