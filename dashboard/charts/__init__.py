"""Charts: numbers of the ledger as columns and lines, and their geometry for SVG templates.

Imports gateway.
"""
