"""One file a page: reads what it shows, in a bounded number of queries, and renders its template.

Imports gateway, accounts and the pure modules of dashboard.
"""
