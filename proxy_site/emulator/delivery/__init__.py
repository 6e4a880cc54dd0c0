"""The delivery of an answer in chunks and bytes, with the faults of networks and providers. Pure. Imports
google_errors and pretend_model."""
