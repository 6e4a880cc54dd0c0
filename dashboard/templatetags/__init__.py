"""Filters and tags of the dashboard's templates.

Imports accounts, elements, formats, gateway and requests.
"""
