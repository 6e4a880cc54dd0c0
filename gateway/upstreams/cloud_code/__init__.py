"""Google's Cloud Code: its requests, streams and failure kinds.

Imports accounts, base, json_pieces, telemetry and transport.
"""
