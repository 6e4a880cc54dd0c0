"""Operators of the gateway: their passwords and set-up links, and the audit log of their actions.

Imports models and values.
"""
