"""Traces, metrics and logs: one trace for each assessment."""
