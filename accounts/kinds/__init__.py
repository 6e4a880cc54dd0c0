"""Kinds of account, one file each, behind one interface.

Imports anthropic, failures, google, models, network, offers, quota, terms and values; knows neither the pool
nor requests.
"""
