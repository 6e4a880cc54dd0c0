"""What Google speaks: contents, candidates and chunks as plain values."""
