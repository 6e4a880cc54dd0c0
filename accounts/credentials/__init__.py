"""Secrets: encrypted at rest, sealed anew with another key, exchanged for access tokens.

Imports models, database, google and values.
"""
