"""One file a page: reads what it shows, in a bounded number of queries, and renders its template.

Imports account_pools, accounts, attention, connecting, figures, gateway, model_rows, pages, presets,
requests, spans, status_line, volume and waterfall.
"""
