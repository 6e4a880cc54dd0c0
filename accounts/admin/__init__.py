"""The admin pages under /admin/: accounts, settings and set-up, with the site and middleware they need.

OperatorAdminConfig registers the models. Imports everything in accounts; nothing in accounts imports it.
"""
