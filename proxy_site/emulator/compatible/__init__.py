"""Servers that use Anthropic's format, each with its own shortcomings, and one that records keys which are
sent to a wrong address.

Imports anthropic_api, delivery, exchange, models and refusal.
"""
