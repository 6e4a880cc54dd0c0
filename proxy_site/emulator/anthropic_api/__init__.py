"""Anthropic's Messages API: streamed and whole answers, counts, models, refusals.

Imports clock, delivery, exchange, google_errors, keyed, log, models, pretend_model, refusal and rules.
"""
