"""Google's Cloud Code: its requests, streams and failure kinds. Imports accounts, base and transport."""
