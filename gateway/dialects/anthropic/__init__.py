"""Anthropic's Messages API: requests checked by a table of fields, messages, stream events, SSE. Pure.

Imports errors.
"""
