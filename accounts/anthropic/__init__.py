"""Error bodies and rate-limit headers of Anthropic's API and of servers that use its format.

Imports failures, google and values.
"""
