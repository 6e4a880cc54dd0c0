"""What clients speak, one folder a wire format: requests, stream events and errors as values. Pure.

Imports errors only.
"""
