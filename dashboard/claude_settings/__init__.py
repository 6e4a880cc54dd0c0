"""Claude Code's own settings file on this machine: what it has, the change that the page offers,
and older copies.

Imports connecting.
"""
