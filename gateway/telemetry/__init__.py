"""Log lines, the heartbeat, events for pages, and request ids.

Imports accounts.
"""
