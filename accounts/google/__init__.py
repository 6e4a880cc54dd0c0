"""Google's side of an account: sign-in, tokens, set-up calls, model lists, and its error bodies.

Imports failures, network, offers and values; knows no models and no database.
"""
