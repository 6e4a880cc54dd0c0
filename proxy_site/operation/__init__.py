"""What commands tell of a running server (`status`), of one request (`diagnose`), and the service units of
`installservice`.

Imports accounts, dashboard, environment, gateway and settings.
"""
