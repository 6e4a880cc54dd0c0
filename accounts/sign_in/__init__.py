"""Signing in at Google: attempts, the server that the browser comes back to, pasted addresses, pages.

Imports models, credentials, google, admin and values.
"""
