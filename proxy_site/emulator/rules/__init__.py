"""The checks of requests: known fields, and the rules for turns, tools, schemas and thinking. Pure. Imports
google_errors, models and pretend_model."""
