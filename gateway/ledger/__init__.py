"""The ledger: a row for each request and attempt, hourly sums, thought signatures (docs/ledger.md).

recorder.py opens and closes records, writer.py queues them for one thread, rows_and_sums.py makes rows.
Imports accounts, errors, models, pricing, relay, telemetry and translation.
"""
