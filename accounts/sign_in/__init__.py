"""Sign-in at Google: attempts, the server that the browser comes back to, pasted addresses, pages.

Imports adding, credentials, google, kinds, models, network, operators, terms and values.
"""
