"""Sign-in at Google: attempts, the server for the browser's redirect, pasted addresses, pages.

Imports adding, credentials, google, kinds, models, network, operators, terms and values.
"""
