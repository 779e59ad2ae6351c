"""ARM: what is asked of it, what it answers, and what is done about that."""
