"""The energy of one access to a memory, by the memory's size."""

from snn_tool.energy.estimators.prices import Prices

ACCESS_BITS = 64
"""The width of the accesses that the table prices."""

ADDRESS_BITS = 32
"""Of a queue entry: row, column and channel of a spike, with its level."""

TIERS = ((8 << 10, "sram-8kb", "8 KB"), (32 << 10, "sram-32kb", "32 KB"), (1 << 20, "sram-1mb", "1 MB"))
"""Bytes, key of the constant, and name of each memory of the table; DRAM is what is larger."""

DRAM, DRAM_NAME = "dram", "DRAM"
CONSTANTS = (*(key for _, key, _ in TIERS), DRAM, "add-int32", "mul-int32")
"""Keys of all constants that memory and addresses are charged with."""


def access_pj(values: int, bits: int, prices: Prices, largest: int | None = None) -> float:
    """One access of `bits` bits to a memory that holds `values` such values, in picojoules.

        e(size) bits / 64

    e is linear between the sizes of the table (8 KB, 32 KB, 1 MB), constant below, and DRAM above.

    Args:
        values: in the memory.
        bits: of each.
        prices: of the table's sizes.
        largest: bytes of the largest single memory, if what is larger is spread over several.
    """
    size = -(-values * bits // 8)
    return size_pj(size if largest is None else min(size, largest), prices) * bits / ACCESS_BITS


def size_pj(size: int, prices: Prices) -> float:
    """One access of 64 bits to a memory of `size` bytes, in picojoules."""
    low, low_pj = 0, prices[TIERS[0][1]]
    for high, key, _ in TIERS:
        if size <= high:
            return low_pj + (prices[key] - low_pj) * (size - low) / (high - low)
        low, low_pj = high, prices[key]
    return prices[DRAM]


def tier(size: int) -> str:
    """The smallest memory of the table that holds `size` bytes."""
    return next((name for high, _, name in TIERS if size <= high), DRAM_NAME)
