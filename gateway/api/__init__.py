"""The Messages API over HTTP: the ASGI application, authentication and the views.

Imports all other rooms of the gateway but operator_api, the only one that imports it.
"""
