"""The Messages API over HTTP: the ASGI application, who may call, and the views.

Imports everything else of the gateway but operator_api; nothing imports it but that.
"""
