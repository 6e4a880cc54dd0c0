"""Live updates of the pages, through one WebSocket for each page, at `/ws/live`.

protocol.py turns values into JSON and back, outbox.py holds what waits for one socket, stored_rows.py reads
the ledger, hub.py serves all sockets of a process from one listener, consumer.py is one socket. Imports
requests, gateway and accounts.
"""
