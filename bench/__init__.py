"""Timing suites and the loops of others: how fast aebench is, beside what. See README.md here."""
