"""One request from its model to its answer: which account, how many attempts, how long, which error.

Imports accounts, dialects, errors, google_api, known_settings, routing, telemetry, timeouts, translation and
upstreams.
"""
