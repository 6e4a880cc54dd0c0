"""Servers that use Anthropic's format: their features, requests and failure kinds.

Imports accounts, base, counting and pass_through.
"""
