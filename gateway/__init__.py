"""The Messages API: requests received, translated, sent with an account, answered and recorded.

service.py builds all of it when the server starts. Imports accounts, and nothing of dashboard or proxy_site.
"""
