"""Every request accounted for: what is written of each, kept, summed up and found again (docs/ledger.md).

record.py      one request as a value, while it lives
writing.py     the queue in memory and the one writer behind it
tables.py      records into rows and hourly sums, in one transaction
instances.py   who is alive, and what becomes of the rows of those who are not
retention.py   what is old goes, in small steps
usage.py       sums: by model, account, client, session
search.py      single requests: pages of them, one with its attempts, those that have just ended
"""
