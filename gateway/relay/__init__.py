"""One request from its model to its answer: which account, how many attempts, how long, which error.

Imports translation, upstreams, dialects, google_api, routing and errors.
"""
