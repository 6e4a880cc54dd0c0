"""Sign-in at Google: attempts, the server that the browser comes back to, pasted addresses, pages.

Imports credentials, google, kinds, models, network, operators, terms and values.
"""
