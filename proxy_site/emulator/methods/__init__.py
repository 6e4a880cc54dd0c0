"""Google's HTTP methods: OAuth, the v1internal calls, and web pages that searches find.

Each reads and changes the emulator's state.
"""
