"""One request from its model to its answer: which account, how often, how long, and what the client is
told.

Imports translation, large_requests, upstreams, dialects, routing, ledger and telemetry.
"""
