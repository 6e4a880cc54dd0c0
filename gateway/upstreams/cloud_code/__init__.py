"""Google's Cloud Code: its requests, streams and failure kinds.

Imports accounts, base, connections, json_pieces, telemetry and transport.
"""
