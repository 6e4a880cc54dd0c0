"""How a request is put to an upstream and how its answer is read, for each dialect of upstreams.

Imports accounts, google_api, translation and upstreams.
"""
