"""Validation and formatting of values: text and numbers from outside, e-mail addresses, times, networks.

Imports nothing of this project.
"""
