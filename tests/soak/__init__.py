"""A long load with faults that come and go: `make soak`."""
