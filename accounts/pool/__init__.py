"""Which account sends a request: the accounts in memory, their cooldowns, the choice, and the queue.

Imports models, google, quota and values.
"""
