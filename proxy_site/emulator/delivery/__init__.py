"""How an answer travels: in chunks and bytes, with the faults that networks and providers have.

Pure. Imports the emulator's error bodies.
"""
