"""Parsing, counting and translation of requests: in the event loop, or in worker processes for large ones.

Imports accounts, bodies, dialects, errors, pass_through, safeguards and translation.
"""
