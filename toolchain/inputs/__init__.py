"""Users' own data: arrays, event recordings and labels, which axis is which, and what the values are."""
