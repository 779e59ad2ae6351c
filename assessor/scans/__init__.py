"""Scans: a scope expanded into requests, paced, and accounted for."""
