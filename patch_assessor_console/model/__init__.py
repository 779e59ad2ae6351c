"""What the console shows, as data: no I/O, no clock, nothing of the page."""
