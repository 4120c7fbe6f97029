"""Parts of cross.py: the machines, a Cortex-M and what it counts."""
