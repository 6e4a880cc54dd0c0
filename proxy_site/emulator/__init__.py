"""An emulator of Google on a loopback port: OAuth, the v1internal methods, and checks of each request.

The emulator does not depend on the gateway, and the gateway treats it like Google. ``server.py`` runs it,
``rules/`` has the checks, ``pretend_model/`` the answers. ``docs/emulator.md`` is the manual.

Imports nothing of this project.
"""
