"""Whether the database can be reached, and which version of the code may use it.

Imports command_line and models.
"""
