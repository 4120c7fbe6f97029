"""Where the arrays of a network lie, and what an access to them costs: the readings of the memory models.

A reading is an assumption about hardware that student and rivals share. `READINGS` lists them; the first is
as published and the headline, the others are comparisons that stand beside it on both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass

from snn_tool.energy.estimators.prices import Prices

ACCESS_BITS = 64
"""The width of the accesses that the table prices."""

TIERS = ((8 << 10, "sram-8kb", "8 KB"), (32 << 10, "sram-32kb", "32 KB"), (1 << 20, "sram-1mb", "1 MB"))
"""Bytes, key of the constant, and name of each memory of the table; DRAM is what is larger."""

DRAM, DRAM_NAME = "dram", "DRAM"
CORE_BYTES = 128 << 10
"""The synaptic memory of a core of Loihi (Davies et al., IEEE Micro 38(1), 2018)."""

BUFFER_BYTES, BUFFER = 8 << 20, "sram-8mb"
"""One buffer on the chip for all arrays, and the key of its price, which is extrapolated (constants.toml)."""

CONSTANTS = (*(key for _, key, _ in TIERS), BUFFER, DRAM)
"""Keys of all constants that an access is charged with, by any reading."""

PerAccess = Callable[[int, Prices], float]
"""Picojoules of one access of 64 bits, from the bytes of the array that is accessed."""


def size_pj(size: int, prices: Prices) -> float:
    """One access of 64 bits to a memory of `size` bytes, in picojoules.

    Linear between the sizes of the table (8 KB, 32 KB, 1 MB), constant below, and DRAM above.
    """
    low, low_pj = 0, prices[TIERS[0][1]]
    for high, key, _ in TIERS:
        if size <= high:
            return low_pj + (prices[key] - low_pj) * (size - low) / (high - low)
        low, low_pj = high, prices[key]
    return prices[DRAM]


def tier(size: int) -> str:
    """The smallest memory of the table that holds `size` bytes."""
    return next((name for high, _, name in TIERS if size <= high), DRAM_NAME)


def _in_core(size: int, prices: Prices) -> float:
    return size_pj(min(size, CORE_BYTES), prices)


def _in_buffer(size: int, prices: Prices) -> float:
    return prices[BUFFER] if size <= BUFFER_BYTES else prices[DRAM]


def _beside(size: int, prices: Prices) -> float:
    return size_pj(0, prices)


def _register(size: int, prices: Prices) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Memories:
    """One assumption about the memories of a chip, for the student and for its rivals alike.

    Attributes:
        name: of the reading, the same on both sides.
        array: price of an access to weights, activations and biases, and of what else is no state.
        state: price of an access to the membranes of spiking neurons, relays and accumulators.
        sums: price of an access to what a dense network's MAC adds to, where no operand is reused.
    """

    name: str
    array: PerAccess
    state: PerAccess
    sums: PerAccess = _register

    def reading(self, name: str) -> str:
        """How a reading is called that differs from the one of this name in the memories alone."""
        return name if self is PER_LAYER else f"{name}, {self.name}"

    def array_pj(self, values: int, bits: int, prices: Prices) -> float:
        """One access of `bits` bits to an array of `values` such values, in picojoules."""
        return access_pj(values, bits, prices, self.array)

    def state_pj(self, neurons: int, prices: Prices) -> float:
        """One access to a membrane of a layer of `neurons` neurons, in picojoules."""
        return access_pj(neurons, prices.precision.state_bits, prices, self.state)

    def sum_pj(self, prices: Prices) -> float:
        """One access to the accumulator of a dense network, in picojoules."""
        return access_pj(0, prices.precision.state_bits, prices, self.sums)


def access_pj(values: int, bits: int, prices: Prices, per_access: PerAccess = size_pj) -> float:
    """One access of `bits` bits to a memory that holds `values` such values, in picojoules.

    e(size) bits / 64
    """
    return per_access(-(-values * bits // 8), prices) * bits / ACCESS_BITS


PER_LAYER = Memories("one memory per layer", size_pj, size_pj)
"""As published: every array has a memory of its own size; what is above 1 MB is DRAM."""

CORES = Memories("cores of 128 KB", _in_core, _in_core)
"""No memory is larger than a core's; a larger array is spread over cores. The way to them is not charged."""

SHARED = Memories("SRAM of 8 MB", _in_buffer, _in_buffer)
"""All arrays share one buffer on the chip, so that small ones pay for its size; one above 8 MB is in DRAM.

An array has to fit by itself: whether all that are alive at a time fit is not asked. With several timesteps
those are all of the student's membranes, of a dense network the arrays of a layer: it favours the student."""

REGISTERS = Memories("state in registers", size_pj, _register)
"""Every neuron keeps its membrane in a register, as a dense array keeps the sum of a MAC: both are free."""

BESIDE = Memories("state in SRAM beside the neuron", size_pj, _beside, _beside)
"""Every neuron keeps its membrane in the smallest memory of the table, and a dense unit the sum of its MACs:
read and written for each delivery, and for each MAC where no operand is reused."""

READINGS = (PER_LAYER, CORES, SHARED, REGISTERS, BESIDE)
"""The headline first."""
