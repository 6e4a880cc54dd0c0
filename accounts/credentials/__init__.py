"""Secrets: encrypted at rest, sealed anew with another key, exchanged for access tokens.

Imports database, google, models and status.
"""
