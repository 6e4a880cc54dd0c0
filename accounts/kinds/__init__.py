"""Kinds of account, one file each, behind one interface.

Imports failures, google, models, network, offers, terms and values; knows neither the pool nor requests.
"""
