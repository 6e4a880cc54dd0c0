"""Google's wire format: contents, parts, candidates and chunks as values, and its event stream. Pure.

Not in upstreams/cloud_code, since the translation and every upstream of Google's share it.
Imports accounts.
"""
