"""How fast the gateway is, beside a relay that does nothing. docs/performance.md explains and has figures."""
