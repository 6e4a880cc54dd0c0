"""The servers: listening, limits, start, drain and stop, and the banner.

Imports gateway and accounts.
"""
