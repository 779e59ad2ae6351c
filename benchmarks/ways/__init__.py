"""What a user would do instead of the app, each on the same local ARM and bus."""
