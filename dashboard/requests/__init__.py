"""What the pages of requests say and show, without templates: filters, outcomes, explanations, curl. Pure,
but for the names of accounts in errors.

Imports charts, formats, gateway and accounts.
"""
