"""How many tokens texts, images and documents have, and what happens beyond the model's limit. Pure.

Imports routing and dialects.
"""
