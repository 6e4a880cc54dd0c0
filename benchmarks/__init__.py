"""Benchmarks of the gateway beside a relay that only passes bytes on. docs/performance.md explains them and
has figures."""
