"""The operator's pages under /admin/: accounts, settings, set-up, and what stands around them.

OperatorAdminConfig registers the models. Imports everything in accounts; nothing in accounts imports it.
"""
