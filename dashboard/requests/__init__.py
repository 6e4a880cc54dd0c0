"""What the pages about requests show, apart from templates: filters, outcomes, explanations, curl commands.
Pure except for the names of accounts in errors.

Imports addresses, charts, elements, formats, spans, gateway and accounts.
"""
