"""Wire formats of clients, one folder each: requests, stream events and errors as values. Pure.

Imports accounts.
"""
