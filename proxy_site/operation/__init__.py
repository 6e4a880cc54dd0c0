"""What commands tell of a running server (`status`), of one request (`diagnose`), and the service units of
`installservice`.

Imports accounts, dashboard, data_dir, environment, gateway and settings.
"""
