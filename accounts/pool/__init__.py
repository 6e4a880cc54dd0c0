"""The choice of the account that sends a request: accounts in memory, cooldowns, scores, the queue.

Imports models, google, quota, live_settings and values.
"""
