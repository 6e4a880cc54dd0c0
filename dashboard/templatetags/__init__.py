"""Filters and tags of the dashboard's templates.

Imports accounts, formats, gateway, model_rows and requests.
"""
