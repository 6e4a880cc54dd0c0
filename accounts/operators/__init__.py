"""Operators of the gateway: how they sign in to its pages, and the log of what they did.

Imports models and values.
"""
