"""What the pages of requests say and show, without templates: filters, outcomes, explanations, curl. Pure.

Imports charts, formats and gateway.
"""
