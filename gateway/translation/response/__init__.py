"""Google's chunks and errors into stream events, messages and usage. Pure.

Imports dialects and google_api.
"""
