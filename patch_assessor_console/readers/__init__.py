"""Where the console reads, and what it can ask for: each module one narrow way out."""
