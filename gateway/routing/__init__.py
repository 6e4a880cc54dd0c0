"""Resolution of client model names to upstream models, and facts about each model. Pure.

Imports nothing else of the gateway.
"""
