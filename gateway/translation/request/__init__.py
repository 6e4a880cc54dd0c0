"""A messages request into Google's generateContent request. Pure.

Imports dialects, errors, google_api, schemas, signatures, tokens, tool_names and web_search.
"""
