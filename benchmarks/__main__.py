"""`python -m benchmarks` does the same as `uv run benchmarks/run.py`."""

from benchmarks.run import main

main()
