"""What the server tells of itself: log lines, the heartbeat, events for pages, ids of requests.

Imports accounts and nothing else of the gateway.
"""
