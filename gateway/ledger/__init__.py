"""The ledger: a row for each request and attempt, hourly sums, thought signatures (docs/ledger.md).

recorder.py opens and closes records, writer.py queues them for one thread, tables.py turns them into rows.
Imports accounts, errors, models, relay and translation.
"""
