"""The servers: listening, limits, start, drain and stop, and the banner.

Imports accounts, data_dir and gateway.
"""
