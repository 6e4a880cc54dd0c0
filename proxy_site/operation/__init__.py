"""What an operator learns of a server from outside.

Imports accounts, dashboard, environment, gateway and settings.
"""
