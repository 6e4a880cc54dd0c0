"""What clients speak: requests, messages and stream events as plain values."""
