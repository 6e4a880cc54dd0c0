"""`runserver --demo`: the real gateway with the built-in emulator in place of Google, with a day of history.
Other commands find the running demo.

Imports accounts, data_dir, emulator and gateway.
"""
