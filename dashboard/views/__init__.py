"""One file a page: reads what it shows, in a bounded number of queries, and renders its template.

Imports accounts, attention, gateway, pages, presets and status_line.
"""
