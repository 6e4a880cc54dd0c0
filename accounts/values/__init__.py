"""Values as they are checked, cleaned and written: text and numbers from outside, e-mail addresses, times,
networks.

Imports nothing of this project, so that everything may use it.
"""
