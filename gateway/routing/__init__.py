"""Resolution of client model names to upstream models, and facts about each model. Pure.

Imports nothing of this project.
"""
