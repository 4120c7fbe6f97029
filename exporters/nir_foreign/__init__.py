"""NIR files of other tools: what each node means, what simulators make of it, the way to integers."""
