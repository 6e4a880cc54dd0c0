"""Translation of Google's chunks and errors into stream events, messages and usage. Pure.

Imports accounts, dialects, errors, google_api, request, signature_families and tool_names.
"""
