"""Accounts that requests are sent with: credentials, quotas, cooldowns, the choice, and the operator's pages.

service.py keeps the accounts ready while the server runs. Imports no other app of this project.
"""
