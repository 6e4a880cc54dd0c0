"""The pages, one file each; those about accounts are in a folder. A page reads what it shows with a bounded
number of queries, and renders its template.

Imports account_pools, accounts, addresses, answering, asked_models, charts, claude_settings, connecting,
gateway, model_rows, overview, pages, presets, requests and spans.
"""
