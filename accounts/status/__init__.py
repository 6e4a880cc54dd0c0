"""The state of accounts: its changes, the action it requires of the operator, the status of the whole pool.

Imports command_line, models, pool and quota.
"""
