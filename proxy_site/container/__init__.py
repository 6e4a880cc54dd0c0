"""Code for the image (Dockerfile): the change of user at each start, and the health check.

Imports nothing of this project, and neither Django nor other packages, because every command waits for it.
"""
