"""Prices of tokens: as data with a date, a file of the operator's over them, and what a call costs.

Imports routing.
"""
