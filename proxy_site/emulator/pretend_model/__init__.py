"""The pretended model: its answers as chunks, with token counts and thought signatures. Pure.

Imports nothing of this project.
"""
