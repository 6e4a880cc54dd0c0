"""The admin pages under /admin/: accounts, audit log and set-up, with the site and middleware they need.

OperatorAdminConfig registers the models. Imports actions, kinds, models, network, operators, quota,
service, sign_in, status and values; nothing in accounts imports it.
"""
