"""Alerts that speak once: what was found, what it changes, and what is remembered."""
