"""Sign-in at Google: attempts, the server that the browser comes back to, pasted addresses, pages.

Imports models, credentials, google, operators and values.
"""
