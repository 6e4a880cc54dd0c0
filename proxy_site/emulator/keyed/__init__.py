"""API keys of the emulated providers, with their limits. A provider's package asks for the key of a request.

Imports exchange and refusal.
"""
