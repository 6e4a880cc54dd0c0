"""What Anthropic's API, and servers that speak its format, answer instead of a message.

Imports failures, google and values.
"""
