"""How a request is put to an upstream and how its answer is read, for each dialect of upstreams.

Imports accounts, dialects, google_api, pass_through, telemetry, translation and upstreams.
"""
