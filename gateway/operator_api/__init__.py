"""Numbers, limits and events as JSON, for the operator's scripts and pages.

Imports api, ledger and telemetry.
"""
