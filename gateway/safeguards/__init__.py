"""The safety check of tool calls: another model, the judge, decides on each call before the client runs it.

A client in Claude Code's auto mode asks for the check with ``safeguards`` and reads the decisions in
``safeguard_results``; without a decision it runs no tool that needs one.

Imports accounts, dialects, errors, ledger, models, pricing, relay, routing, telemetry and translation.
"""
