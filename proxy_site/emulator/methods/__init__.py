"""Google's HTTP methods: OAuth, the v1internal calls, and web pages that searches find.

Each reads and changes the emulator's state.

Imports accounts, clock, delivery, exchange, google_errors, log, models, pretend_model, rules and state.
"""
