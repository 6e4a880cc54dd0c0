"""The kinds of account, one file a kind, and what they all answer.

Imports failures, google, models, network and values; knows neither the pool nor requests.
"""
