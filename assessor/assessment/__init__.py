"""An assessment from its request to its outcome, step by step."""
