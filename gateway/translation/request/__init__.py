"""A messages request into Google's generateContent request. Pure.

Imports dialects, google_api, routing, schemas and tokens.
"""
