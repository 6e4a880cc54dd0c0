"""How an answer travels: in chunks and bytes, with the faults that networks and providers have.

Pure. Imports google_errors and pretend_model.
"""
