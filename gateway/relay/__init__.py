"""One request from its model to its answer: which account, how many attempts, how long, which error.

Imports accounts, dialects, errors, google_api, routing, telemetry, timeouts, translation and upstreams.
"""
