"""Web search: a request that asks for one, to Google and back. Pure.

asked.py      what a request wants of web search, and what stands against it
domains.py    which addresses allowed_domains and blocked_domains let through
request.py    the search into a generateContent request
sources.py    groundingMetadata -> sources
notes.py      what a source says, as encrypted_content and back into text
answer.py     sources -> content blocks

Facts about Google's side are known from another tool's source (router-for-me/CLIProxyAPI a7e3596b7), not from
captures of our own.
"""
