"""Providers that answer, one folder each, and the connections to them.

`base.py` is the interface, `registry.py` has the upstream of each kind of account. Knows neither the pool nor
clients. Imports accounts, bodies, errors, pass_through and timeouts.
"""
