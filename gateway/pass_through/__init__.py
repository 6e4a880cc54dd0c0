"""Requests and answers that stay in Anthropic's format between client and upstream. Pure.

Bytes are passed on as they came. The gateway changes only what the upstream would refuse, and reads only what
it needs.

Imports nothing of this project.
"""
