"""Whole fleets: listing them, and what events and the timer make of them."""
