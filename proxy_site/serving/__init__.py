"""The server: its socket, its limits, its start and end, and what it says when it starts.

Imports gateway and accounts.
"""
