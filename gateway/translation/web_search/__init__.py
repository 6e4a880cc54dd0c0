"""Web search: translation of a request for one to Google, and of the answer back. Pure.

requested_search.py the web search that a request asks for, and what rules it out
domains.py    allowed_domains and blocked_domains, matched against addresses
request.py    the search into a generateContent request
sources.py    groundingMetadata -> sources
encrypted_content.py the passages that cite a source, as encrypted_content and back into text
answer.py     sources -> content blocks

Facts about Google's side are known from another tool's source (router-for-me/CLIProxyAPI a7e3596b7), not from
captures of our own.

Imports accounts, dialects, google_api, request, tokens and tool_names.
"""
