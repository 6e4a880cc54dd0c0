"""The Gemini API, ``generativelanguage.googleapis.com`` in version v1beta: models, answers, counts, refusals.

Imports delivery, exchange, google_errors, keyed, methods, models, pretend_model, rules and state.
"""
