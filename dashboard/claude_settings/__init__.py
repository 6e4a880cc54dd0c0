"""Claude Code's own settings file on this machine: what is in it, what we would write, and its copies.

Imports connecting.
"""
