"""Remaining quotas of accounts: snapshots, their history, forecasts, and models that share a quota. Imports
failures, live_settings, models and values."""
