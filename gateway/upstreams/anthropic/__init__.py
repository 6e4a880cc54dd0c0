"""Anthropic's API: its requests and failure kinds. Imports accounts, base and counting."""
