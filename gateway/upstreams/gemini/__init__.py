"""The Gemini API: its requests, streams and failure kinds. Imports accounts, base and json_pieces."""
