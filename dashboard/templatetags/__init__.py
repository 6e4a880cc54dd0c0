"""Filters and tags of the dashboard's templates.

Imports accounts, addresses, elements, formats, gateway and requests.
"""
