"""Requests and answers that stay in Anthropic's format between client and upstream. Pure.

Bytes are passed on as they came; only what an upstream would refuse is changed, and only what the gateway
needs is read.
Imports nothing of this project.
"""
