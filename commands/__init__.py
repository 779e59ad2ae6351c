"""The commands that a person types: run the demo, send requests, watch what arrives."""
