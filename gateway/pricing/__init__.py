"""Prices of tokens: shipped as data with a date, overridden by a file of the operator's, and the cost of a
call.

Imports routing.
"""
