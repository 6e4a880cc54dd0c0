"""The Messages API over HTTP: the ASGI application, authentication and the views.

Imports accounts, bodies, dialects, errors, known_settings, ledger, relay, routing, safeguards, telemetry,
timeouts, translation and upstreams.
"""
