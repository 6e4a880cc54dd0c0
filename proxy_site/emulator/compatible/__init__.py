"""Servers that speak Anthropic's format, each with its own shortcomings, and a trap for keys that leak.

Imports anthropic_api, delivery, exchange, models and refusal.
"""
