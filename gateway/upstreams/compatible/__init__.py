"""Servers that speak Anthropic's format: what each takes, their requests and failure kinds.

Imports accounts, base, counting and pass_through.
"""
