"""Formats, one for each dialect of upstreams: how a request is sent to an upstream, and how its answer is
read.

Imports accounts, dialects, google_api, pass_through, telemetry, translation and upstreams.
"""
