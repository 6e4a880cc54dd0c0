"""The Gemini API: its requests, streams and failure kinds. Imports accounts and base."""
