"""The kinds of account, one file a kind, and what they all answer.

Imports credentials, google and network; knows neither the pool nor requests.
"""
