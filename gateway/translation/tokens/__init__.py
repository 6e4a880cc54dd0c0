"""Token estimates for texts, images and documents, and the limit of the model's context. Pure.

Imports dialects, errors and web_search.
"""
