"""Requests read, counted and translated: in the event loop, or in worker processes when they are large.

Imports translation, dialects, bodies and routing.
"""
