"""Charts: numbers of the ledger as columns and lines, and those as geometry for SVG templates.

Imports gateway.
"""
