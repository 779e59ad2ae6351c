"""Azure Resource Manager on this machine: the part that a patch assessor uses."""
