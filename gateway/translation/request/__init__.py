"""Translation of a messages request into Google's generateContent request. Pure.

Imports dialects, errors, google_api, routing, schemas, signature_families, tokens, tool_names and
web_search.
"""
