"""`runserver --demo`: the real gateway with the built-in emulator in place of Google, with a day of history.
Other commands find the demo that runs.

Imports accounts, data_dir, emulator and gateway.
"""
