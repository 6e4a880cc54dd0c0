"""How much each account has left: snapshots, their history, the forecast, and models that share a quota.

Imports failures, live_settings, models and values.
"""
