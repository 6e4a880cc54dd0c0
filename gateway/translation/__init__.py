"""Translation of Anthropic's requests for Google, and of Google's answers back, as pure functions.

Each direction or subject has a folder; what both directions share is in this one.

Imports nothing of this project.
"""
