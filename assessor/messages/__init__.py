"""What comes in and what goes out: requests, progress, outcomes, and the bus."""
