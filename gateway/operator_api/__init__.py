"""Numbers, limits and events as JSON, for the operator's scripts and pages.

Imports accounts, api, errors, ledger, models, routing and telemetry.
"""
