"""Filters and tags of the dashboard's templates.

Imports formats, gateway and requests.
"""
