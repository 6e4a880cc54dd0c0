"""Anthropic's requests to Google's and Google's answers back, as pure functions: same input, same output.

One folder a direction or subject; what both directions share lies here. Imports nothing of this project.
"""
