"""Google's side on a loopback port: OAuth, the v1internal methods, and an opinion about each request.

It judges by itself: nothing here knows the gateway, and nothing in the gateway knows that this is not
Google. Start with ``server.py`` for how it runs, ``validator.py`` for what it refuses, ``brain.py`` for
what it answers. ``docs/emulator.md`` is the manual.

Imports nothing of this project.
"""
