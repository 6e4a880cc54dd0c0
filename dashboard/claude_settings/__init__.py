"""Reading and changing Claude Code's settings file on this machine, with a copy of the file before each
change.

Imports connecting.
"""
