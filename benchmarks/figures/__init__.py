"""The figures, one module each: how it is measured, and what it has to reach."""
