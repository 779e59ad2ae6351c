"""How long assessments take: what is learned of it, and when that says to look."""
