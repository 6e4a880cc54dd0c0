"""Parsing, counting and translation of requests: in the event loop, or in worker processes for large ones.

Imports translation, dialects, bodies and routing.
"""
