"""Request bodies: received within their limits, decompressed, measured, parsed.

Imports errors and timeouts.
"""
