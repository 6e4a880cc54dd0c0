"""Accounts that requests are sent with: credentials, quotas, cooldowns, the pool, pages in the admin.

service.py keeps the accounts ready while the server runs. Imports no other app of this project.
"""
