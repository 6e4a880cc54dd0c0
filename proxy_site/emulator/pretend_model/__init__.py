"""The stand-in for the model: what it says, as chunks, with token counts and thought signatures.

Pure. Imports nothing of this project.
"""
