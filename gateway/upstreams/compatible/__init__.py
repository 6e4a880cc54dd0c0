"""Servers that speak Anthropic's format: what each takes, their requests and failure kinds.

Imports accounts, base and pass_through.
"""
