"""Claude Code's own settings file on this machine: its content, the change that the page offers, and older
copies.

Imports connecting.
"""
