"""What the image (Dockerfile) needs beside the gateway: the change of user at each start, the health check.

Imports nothing of this project, and neither Django nor other packages, because every command waits for it.
"""
