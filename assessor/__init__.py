"""The domain: what an assessment is, and what becomes of it. No trigger, no host."""
