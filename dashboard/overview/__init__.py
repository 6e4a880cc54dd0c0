"""The texts of the overview: which models can be used now, and what needs the operator. Pure.

Imports accounts.
"""
