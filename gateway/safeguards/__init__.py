"""The safety check of tool calls: another model is asked about each before the client runs it.

A client in Claude Code's auto mode asks for it with ``safeguards`` and reads the verdicts in
``safeguard_results``; without a verdict it runs nothing that needs one.
"""
