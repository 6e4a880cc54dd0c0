"""`runserver --demo`: the real gateway with the built-in emulator in place of Google, and how other commands
find it.

Imports data_dir and emulator.
"""
