"""Commands about a running server (`status`) and about one request (`diagnose`), and the service units of
`installservice`.

Imports accounts, dashboard, data_dir, environment, gateway and settings.
"""
