"""The Django project: settings, URLs, the servers, the demo, and the database as a whole.

Imports everything; nothing imports it.
"""
