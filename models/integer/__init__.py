"""The integer network: what it is, its exact run, how a float student becomes one."""
