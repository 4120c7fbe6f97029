"""NIR files of other tools: what each node means, what simulators make of it, the way to integers."""

TIMESTEPS = 10
"""For how many steps an image is presented, if nothing is said."""
DT_S = 1e-4
"""Seconds; the step that snntorch's and, by default, spikingjelly's exporters write time constants for."""

TO_ZERO, SUBTRACT, SUBTRACT_LATE = "zero", "subtract", "subtract-late"
RESETS = (TO_ZERO, SUBTRACT, SUBTRACT_LATE)
"""What a spike does to its neuron; a file can say the first alone."""
