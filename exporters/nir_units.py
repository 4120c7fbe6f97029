"""How integers become the values of NIR nodes; writer and reader must agree on these four lines."""

import numpy as np
from snn_tool.exporters.nir.program import DECAY_STEPS, MEMBRANE_SHIFT

OUTPUT = "output"
"""Name of the graph's Output, which follows the read-out."""


def shuffle_ports(conv: str) -> tuple[str, str]:
    """Names of the Output before and the Input after a convolution's pixel-shuffle on the host."""
    return f"{conv}_unshuffled", f"{conv}_shuffled"


def time_constant(decay: int, dt_s: float) -> float:
    """Tau in seconds of a membrane that loses decay / 4096 in each timestep: dt 4096 / decay."""
    return dt_s * DECAY_STEPS / decay


def float_threshold(threshold: int, lsb_exponent: int) -> float:
    """Threshold half a membrane unit (2^-6 LSB) above an integer one: (threshold + 2^-7) 2^lsb_exponent."""
    return float(np.ldexp(threshold + 0.5 ** (MEMBRANE_SHIFT + 1), lsb_exponent))
