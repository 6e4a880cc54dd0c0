"""The choice of the account that sends a request: accounts in memory, cooldowns, scores, the queue.

Imports failures, live_settings, models, quota and values.
"""
