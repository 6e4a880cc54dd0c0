"""The texts of the overview: how it stands, and what needs the operator. Pure.

Imports accounts.
"""
