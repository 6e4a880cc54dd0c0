"""Kinds of account, one file each, behind one interface.

Imports failures, google and models; knows neither the pool nor requests.
"""
